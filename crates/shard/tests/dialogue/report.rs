//! What a shard tells of itself, in pages.

use leveret_shard::{ReportFrom, ShardReport};

use crate::rig::{Rig, at};

/// All pages of so many entries.
fn pages(rig: &mut Rig, most: usize) -> Vec<ShardReport> {
    let mut pages = Vec::new();
    let mut next = Some(ReportFrom::default());
    while let Some(from) = next {
        let (page, after) = rig.shard(at(1, 0)).report_page(from, most);
        pages.push(page);
        next = after;
    }
    pages
}

#[test]
fn no_page_has_more_queues_and_connections_than_asked_for_and_all_pages_have_all() {
    let mut rig = Rig::new(&[2]);
    let clients: Vec<_> = (0..7).map(|_| rig.connect(at(1, 0))).collect();
    // each other one has a home elsewhere, and takes a slot of the table all the same
    let elsewhere = rig.connect(at(1, 1));
    for number in 0..5 {
        rig.declare(clients[0], &format!("here {number}"));
        rig.declare(elsewhere, &format!("there {number}"));
        rig.publish(clients[0], &format!("there {number}"), "m");
    }
    rig.run();
    let whole = rig.shard(at(1, 0)).report();
    assert_eq!((whole.queues.len(), whole.connections.len()), (5, 7));
    for most in [1, 2, 3, 12, 100] {
        let pages = pages(&mut rig, most);
        assert!(pages.iter().all(|page| page.queues.len() + page.connections.len() <= most));
        // ten slots of queues and seven of connections
        assert!(pages.len() >= 17_usize.div_ceil(most), "{} pages of {most}", pages.len());
        let queues: Vec<_> = pages.iter().flat_map(|page| page.queues.clone()).collect();
        let connections: Vec<_> = pages.iter().flat_map(|page| page.connections.clone()).collect();
        assert_eq!((queues, connections), (whole.queues.clone(), whole.connections.clone()), "of {most}");
    }
}

/// Each shard has the users of the node: one that kept it to itself would leave the others to hash on.
#[test]
fn a_hash_that_became_ours_at_a_login_is_ours_on_every_shard() {
    let mut rig = Rig::with_a_hash_of_rabbitmq(&[3]);
    for shard in [1, 0, 2, 1] {
        rig.connect(at(1, shard));
    }
    assert_eq!(rig.hash_upgrades, 1);
}
