//! Kinds that this version does not know, or does not know any more.

use super::*;

/// P8: the link goes on, and what stands behind the record is read.
#[test]
fn a_record_of_a_later_version_is_skipped_by_its_length() {
    let gone = Record::Gone { queue: QueueId::default() };
    let mut bytes = on_the_link(built(&[gone.clone(), gone.clone()])).to_vec();
    let kind = BATCH_HEAD_BYTES + HEAD_BYTES;
    bytes[kind] = kind::LAST + 1;
    let batch = Batch::parse(&bytes.into()).expect("its heads are true");
    assert_eq!(
        batch.iter().collect::<Result<Vec<_>, _>>(),
        Ok(vec![Record::Unknown { kind: kind::LAST + 1 }, gone])
    );
    assert_eq!(batch.cost().records, 2, "it took its part of the window");
}

#[test]
fn a_number_of_a_record_that_is_no_more_is_an_unknown_kind() {
    let mut bytes = on_the_link(built(&[Record::Gone { queue: QueueId::default() }])).to_vec();
    let kind = BATCH_HEAD_BYTES + HEAD_BYTES;
    assert_eq!(bytes[kind], 4);
    bytes[kind] = 5;
    let batch = Batch::parse(&bytes.into()).expect("its heads are true");
    assert_eq!(batch.iter().collect::<Result<Vec<_>, _>>(), Err(Damage::Kind(5)));
}
