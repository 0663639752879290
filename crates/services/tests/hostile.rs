//! Texts of strangers: whatever arrives, nothing panics, and what is taken is within its bounds.

use leveret_model::Boot;
use leveret_services::{Announcement, InstanceName, Message, ServiceName, State, announce_key, parse};
use proptest::prelude::*;

fn valid() -> Announcement {
    let service = ServiceName::new("shop").expect("a name");
    let instance = InstanceName::new("a").expect("a name");
    let mut announcement = Announcement::new(service, instance, Boot(7), State::Ready);
    announcement.address = Some(([127, 0, 0, 1], 80).into());
    announcement.terms.hosts = ["a.example.org".into(), "*.example.org".into()].into();
    announcement.terms.route = Some("n1".into());
    announcement.labels.insert("zone".into(), "a".into());
    announcement
}

proptest! {
    #[test]
    fn any_bytes_under_any_key_are_read_or_refused(key in "(announce|door|ask|command)?[.a-z]{0,12}", body: Vec<u8>) {
        let _ = parse(&key, &body);
    }

    #[test]
    fn a_damaged_announcement_is_refused_or_within_its_bounds(at in 0_usize..400, byte: u8, cut in 0_usize..400) {
        let announcement = valid();
        let mut body = announcement.to_body();
        let at = at % body.len();
        body[at] = byte;
        body.truncate(body.len().max(cut) - cut.min(body.len() / 4));
        let key = announce_key(&announcement.service, &announcement.instance);
        if let Ok(Message::Announcement(read)) = parse(&key, &body) {
            prop_assert!(read.check().is_ok());
            prop_assert_eq!(Announcement::parse(&read.to_body()), Ok(*read));
        }
    }
}
