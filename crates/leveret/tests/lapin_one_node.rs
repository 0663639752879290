//! lapin against one node: publisher and consumer on connections of their own.

mod lapin;

use lapin::{Node, Session};

fn sessions() -> (Node, Session, Session) {
    let node = Node::start(&[]);
    let (publisher, consumer) = (Session::open(&node), Session::open(&node));
    (node, publisher, consumer)
}

dialogues!(sessions);
