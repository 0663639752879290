use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn extent(file: u64, positions: &[u64]) -> Extent {
    let (first, last) = (positions[0], *positions.last().expect("some"));
    let mut live = LiveSet::empty(first, last);
    for position in positions {
        live.insert(*position);
    }
    let messages = positions.len() as u32;
    Extent {
        file: FileNumber(file),
        offset: 4096,
        bytes: messages * 100,
        messages,
        first,
        last,
        live,
        cursor: None,
    }
}

proptest! {
    /// Appends, removals and moves against a map from position to container.
    #[test]
    fn an_index_is_a_map_from_positions_to_containers(
        steps in proptest::collection::vec((0u8..6, 0u64..40, 0u64..30), 1..60)
    ) {
        let mut index = QueueIndex::default();
        let mut naive: BTreeMap<u64, Container> = BTreeMap::new();
        let (mut next, mut log, mut file) = (1u64, 1u64, 1u64);
        for (what, a, b) in steps {
            match what {
                0..=2 => {
                    let position = next + if a > 35 { a } else { a % 3 };
                    index.append_in_log(position, LogNumber(log), (position * 4) as u32);
                    naive.insert(position, Container::Log(LogNumber(log)));
                    next = position + 1;
                }
                3 => log += 1,
                4 => {
                    let first = next.saturating_sub(a);
                    let last = first + b;
                    let mut freed = 0;
                    index.remove(first, last, |gone| freed += gone.messages);
                    let before = naive.len();
                    naive.retain(|position, _| !(first..=last).contains(position));
                    prop_assert_eq!(freed as usize, before - naive.len());
                }
                _ => {
                    // the oldest log segment is due: every fifth message is damaged
                    let Some(source) = naive.values().find(|place| matches!(place, Container::Log(_))).copied() else { continue };
                    let moved: Vec<u64> =
                        naive.iter().filter(|(_, place)| **place == source).map(|(position, _)| *position).collect();
                    let (kept, lost): (Vec<u64>, Vec<u64>) = moved.iter().partition(|position| *position % 5 != 0);
                    let copies: Vec<Extent> = kept.chunks(3).map(|chunk| extent(file, chunk)).collect();
                    let mut expected = Vec::new();
                    for position in lost {
                        push_range(&mut expected, position);
                        naive.remove(&position);
                    }
                    for position in kept {
                        naive.insert(position, Container::File(FileNumber(file)));
                    }
                    prop_assert_eq!(index.replace(&[source], copies), expected);
                    file += 1;
                }
            }
            prop_assert_eq!(index.live() as usize, naive.len());
            let from = next.saturating_sub(b);
            let found = index.next(from).map(|(position, run)| (position, run.container()));
            prop_assert_eq!(found, naive.range(from..).next().map(|(position, place)| (*position, *place)));
            prop_assert_eq!(index.contains(from), naive.contains_key(&from));
        }
        let mut all = Vec::new();
        let mut from = 0;
        while let Some((position, run)) = index.next(from) {
            all.push((position, run.container()));
            from = position + 1;
        }
        prop_assert_eq!(all, naive.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn what_was_acknowledged_during_a_move_is_not_in_the_copy() {
    let mut index = QueueIndex::default();
    for position in 1..=4 {
        index.append_in_log(position, LogNumber(1), position as u32 * 4);
    }
    let mut copies = std::vec![extent(1, &[1, 2, 3, 4])];
    index.remove(2, 3, |_| {});
    index.drop_acknowledged(&mut copies);
    assert_eq!(index.replace(&[Container::Log(LogNumber(1))], copies), []);
    assert_eq!(
        (index.live(), index.contains(1), index.contains(2), index.contains(4)),
        (2, true, false, true)
    );
}

#[test]
fn a_full_index_takes_four_bytes_a_message_in_the_log_and_none_in_an_extent() {
    let mut index = QueueIndex::default();
    for position in 1..=1000 {
        index.append_in_log(position, LogNumber(1), position as u32 * 4);
    }
    assert_eq!(index.runs().count(), 1);
    let Some(Run::Log(run)) = index.runs().next() else { panic!("a run in the log") };
    assert!(run.offsets.capacity() <= 1024);
}
