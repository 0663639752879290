//! Commands and replies through the bytes of a frame and back.

use std::string::String;

use proptest::prelude::*;
use prost::Message as _;

use leveret_model::definition::DestinationKind;

use super::*;
use crate::encoding::nouns::tests::{any_name, binding};
use crate::frame::message::{Request, Response};

/// What is passed on to the home of a queue.
fn command() -> impl Strategy<Value = Command> {
    let to_queue = |binding| definition::Binding { kind: DestinationKind::Queue, ..binding };
    prop_oneof![
        (any_name(), any_name(), any::<(bool, bool)>()).prop_map(|(vhost, name, (if_unused, if_empty))| {
            Command::DeleteQueue { vhost, name, if_unused, if_empty }
        }),
        binding().prop_map(move |binding| Command::Bind(to_queue(binding))),
        binding().prop_map(move |binding| Command::Unbind(to_queue(binding))),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Done),
        any::<u64>().prop_map(|messages| Reply::Deleted { messages }),
        (prop::sample::select(ReplyCode::ALL), any::<String>())
            .prop_map(|(code, text)| Reply::Refused(Refusal::new(code, text))),
    ]
}

/// Through the bytes of a frame.
fn sent(body: Body) -> Body {
    let bytes = ControlFrame::from(body).encode_to_vec();
    ControlFrame::decode(&bytes[..]).unwrap().body.unwrap()
}

fn shown(value: &impl core::fmt::Debug) -> String {
    std::format!("{value:?}")
}

proptest! {
    #[test]
    fn commands_come_back_as_they_were(command in command()) {
        let request = Request { id: 1, oldest: 1, command: Some((&command).into()) };
        let Body::Request(back) = sent(Body::Request(request)) else { panic!("a request") };
        let back = Command::try_from(&back.command.unwrap()).unwrap();
        prop_assert_eq!(shown(&back), shown(&command));
    }

    #[test]
    fn replies_come_back_as_they_were(reply in reply()) {
        let response = Response { id: 1, reply: Some((&reply).into()) };
        let Body::Response(back) = sent(Body::Response(response)) else { panic!("a response") };
        let back = Reply::try_from(&back.reply.unwrap()).unwrap();
        prop_assert_eq!(shown(&back), shown(&reply));
    }

    #[test]
    fn any_bytes_are_a_frame_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(ControlFrame::decode(&bytes[..]));
    }
}

/// Declarations and bindings between exchanges are each node's own, so no peer may have them done here; nor
/// does any answer name a queue.
#[test]
fn a_command_or_an_answer_that_no_node_sends_is_damage() {
    use crate::frame::{Decoded, Frame};
    // the frame with that tag, of id 1, with an empty message under the other tag
    let with = |frame: u8, tag: u8| [frame << 3 | 2, 4, 1 << 3, 1, tag << 3 | 2, 0];
    let (request, response) = (11, 12);
    for tag in [2, 3, 4, 9] {
        assert_eq!(Frame::decode(&with(request, tag)), Err(Damage::Value("command")), "command {tag}");
    }
    assert_eq!(Frame::decode(&with(response, 3)), Err(Damage::Value("reply")));
    for (frame, tag) in [(request, 5), (request, 6), (request, 7), (response, 2)] {
        assert!(matches!(Frame::decode(&with(frame, tag)), Ok(Decoded::Known(_))), "{frame} {tag}");
    }
    for kind in [CommandKind::Bind, CommandKind::Unbind] {
        let between_exchanges = kind(Binding { to_exchange: true, ..Binding::default() });
        assert_eq!(Command::try_from(&between_exchanges), Err(Damage::Value("destination")));
    }
}
