//! Records of direct reply-to.

use leveret_model::ReplySecret;

use super::*;

pub(super) fn record() -> impl Strategy<Value = Record<'static>> {
    let to = || any::<u128>().prop_map(ReplySecret);
    let request = || any::<u64>().prop_map(RequestId);
    prop_oneof![
        (to(), message()).prop_map(|(to, message)| Record::Reply { to, message }),
        (request(), to()).prop_map(|(request, to)| Record::FindReplyAddress { request, to }),
        (request(), any::<bool>()).prop_map(|(request, found)| Record::ReplyAddressFound { request, found }),
    ]
}
