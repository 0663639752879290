//! Links over a real broker, named by `LEVERET_TEST_AMQP`: `cargo test -p leveret-bus -- --ignored`.
//!
//! Ignored by default until a Leveret node has exclusive queues: then these tests start one themselves.

use std::time::Duration;

use leveret_bus::{Broker, Brokers, Bus, BusConfig, Incoming, Outgoing, start};
use leveret_model::Boot;
use leveret_services::{
    ASK_KEY, Announcement, DoorName, InstanceName, Message, ServiceName, State, announce_key,
};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn brokers() -> Brokers {
    let url = std::env::var("LEVERET_TEST_AMQP").expect("LEVERET_TEST_AMQP=amqp://…");
    // A dead one first: the link goes on to the next.
    let dead = Broker::parse("amqp://127.0.0.1:9").expect("a broker");
    Brokers::new(vec![dead, Broker::parse(&url).expect("a broker")]).expect("two")
}

fn link(name: &str, bindings: &[&str], ask: Option<&str>) -> Bus {
    start(BusConfig {
        brokers: brokers(),
        name: name.to_owned(),
        bindings: bindings.iter().map(|key| (*key).to_owned()).collect(),
        ask: ask.map(|name| DoorName::new(name).expect("a name")),
    })
}

/// The next event that `wanted` takes.
async fn next<T>(bus: &mut Bus, wanted: impl Fn(Incoming) -> Option<T>) -> T {
    let find = async {
        loop {
            let event = bus.incoming.recv().await.expect("the link is kept for ever");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, find).await.expect("an event in time")
}

async fn up(bus: &mut Bus) -> String {
    next(bus, |event| if let Incoming::Up { user, .. } = event { Some(user) } else { None }).await
}

fn announcement(service: &str, seq: u64, confirm: bool) -> Outgoing {
    let service = ServiceName::new(service).expect("a name");
    let instance = InstanceName::new("a").expect("a name");
    let mut announcement = Announcement::new(service.clone(), instance.clone(), Boot(1), State::Ready);
    announcement.seq = seq;
    announcement.address = Some(([127, 0, 0, 1], 80).into());
    Outgoing {
        key: announce_key(&service, &instance),
        body: announcement.to_body(),
        ttl: announcement.ttl(),
        confirm: confirm.then_some(seq),
    }
}

#[tokio::test]
#[ignore = "needs a broker: LEVERET_TEST_AMQP=amqp://…"]
async fn a_door_asks_before_it_hears_and_announcements_arrive_with_their_user() {
    let service = format!("bus-test-{}", std::process::id());
    let mut instance = link("instance", &[ASK_KEY, "door.*"], None);
    let user = up(&mut instance).await;
    // Nobody listens yet.
    instance.outgoing.send(announcement(&service, 1, true)).await.expect("a link");
    let settled =
        |event| if let Incoming::Settled { number, routed } = event { Some((number, routed)) } else { None };
    assert_eq!(next(&mut instance, settled).await, (1, false));

    let key = format!("announce.{service}.*");
    let mut door = link("door", &[&key], Some("bus-test"));
    let asked = |event| match event {
        Incoming::Message(Message::Ask(ask), user) => Some((ask.door.to_string(), user)),
        _ => None,
    };
    assert_eq!(next(&mut instance, asked).await, ("bus-test".to_owned(), Some(user.clone())));
    up(&mut door).await;

    for (seq, confirm) in [(2, true), (3, false)] {
        instance.outgoing.send(announcement(&service, seq, confirm)).await.expect("a link");
        let heard = |event| match event {
            Incoming::Message(Message::Announcement(heard), user) => Some((heard.seq, user)),
            _ => None,
        };
        assert_eq!(next(&mut door, heard).await, (seq, Some(user.clone())));
    }
    assert_eq!(next(&mut instance, settled).await, (2, true));
    let garbage = Outgoing {
        key: format!("announce.{service}.a"),
        body: b"{".to_vec(),
        ..announcement(&service, 4, false)
    };
    instance.outgoing.send(garbage).await.expect("a link");
    next(&mut door, |event| matches!(event, Incoming::Unreadable { .. }).then_some(())).await;

    // The door's queue goes with its link.
    drop(door);
    loop {
        instance.outgoing.send(announcement(&service, 5, true)).await.expect("a link");
        if next(&mut instance, settled).await == (5, false) {
            break;
        }
    }
}
