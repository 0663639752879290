//! lapin against two nodes: the publisher on one, the consumer on the other, which joined it.

mod lapin;

use lapin::{Node, Session};

fn sessions() -> ([Node; 2], Session, Session) {
    let first = Node::start(&[]);
    let second = Node::start(&[&first]);
    let (publisher, consumer) = (Session::open(&first), Session::open(&second));
    ([first, second], publisher, consumer)
}

dialogues!(sessions);
