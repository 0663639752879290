//! Clients and links that say nothing, or half of something.

use std::io::Read;
use std::net::TcpStream;

use leveret_wire::FrameKind;

use crate::bystander::Bystander;
use crate::node::Node;
use crate::speaker::{Speaker, frame};
use crate::{PATIENCE, my_turn};

#[test]
fn a_client_or_link_that_says_nothing_is_dropped() {
    let _turn = my_turn();
    let mut node = Node::start(&[]);
    let bystander = Bystander::start(node.amqp);
    let mut link = TcpStream::connect(node.cluster).expect("connected");
    link.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let silent = Speaker::connect(node.amqp);
    let mut half = Speaker::greet(node.amqp);
    half.say_bytes(&frame(FrameKind::Method, 0, &[0, 10, 0, 11])[..9]);
    assert_eq!(link.read(&mut [0; 1]).expect("an end"), 0);
    node.logs(&["127.0.0.1", "a link was not made", "timed out"]);
    bystander.is_served("a link that says nothing");
    for mut speaker in [silent, half] {
        speaker.hears_end();
        node.logs(&[&speaker.name(), "the handshake took too long"]);
    }
    bystander.is_served("clients that say nothing");
    node.assert_sound();
    bystander.end();
}
