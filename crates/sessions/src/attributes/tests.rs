use super::*;

fn at(epoch: u32, version: u64) -> Changed {
    Changed { epoch: Epoch(epoch), version: Version(version) }
}

fn edited(base: &[u8], stamp: Changed, edits: &[(&[u8], Option<&[u8]>)]) -> Vec<u8> {
    let mut all = Edits::default();
    for &(name, value) in edits {
        all.set(name, value);
    }
    all.apply(Attributes::trusted(base), stamp)
}

impl Attributes<'_> {
    /// When the name was changed or removed last.
    fn changed(self, name: &[u8]) -> Changed {
        let there = self.get(name).map(|attribute| attribute.changed);
        let gone = || self.removed().find(|removed| removed.name == name).map(|removed| removed.changed);
        there.or_else(gone).unwrap_or_else(|| self.forgotten())
    }
}

fn alive(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let attributes = Attributes::take(bytes).expect("whole");
    attributes.all().map(|attribute| (attribute.name, attribute.value)).collect()
}

fn joined(ours: &[u8], theirs: &[u8], stamp: Changed) -> Vec<u8> {
    merge(Attributes::trusted(ours), Attributes::trusted(theirs), stamp).bytes
}

#[test]
fn a_commit_stamps_what_it_changes_and_nothing_else() {
    let one = edited(Attributes::NONE.bytes(), at(1, 1), &[(b"a", Some(b"1")), (b"b", Some(b"2"))]);
    let two = edited(&one, at(1, 2), &[(b"a", Some(b"1")), (b"b", None), (b"c", Some(b"3"))]);
    let attributes = Attributes::take(&two).expect("whole");
    assert_eq!(alive(&two), [(&b"a"[..], &b"1"[..]), (b"c", b"3")]);
    assert_eq!(
        (attributes.changed(b"a"), attributes.changed(b"b"), attributes.changed(b"c")),
        (at(1, 1), at(1, 2), at(1, 2))
    );
    let later = attributes.later_than(at(1, 1));
    assert_eq!(alive(&later), [(&b"c"[..], &b"3"[..])]);
    assert_eq!(Attributes::trusted(&one).with(Attributes::trusted(&later)), two);
}

#[test]
fn removals_past_the_bound_are_known_by_their_version() {
    let mut bytes = Attributes::NONE.bytes().to_vec();
    for number in 0..limits::SESSION_REMOVED_MAX as u64 + 10 {
        let name = number.to_le_bytes();
        bytes = edited(&bytes, at(1, 2 * number + 1), &[(&name, Some(b"x"))]);
        bytes = edited(&bytes, at(1, 2 * number + 2), &[(&name, None)]);
    }
    let attributes = Attributes::take(&bytes).expect("whole");
    assert_eq!(attributes.removed().count(), limits::SESSION_REMOVED_MAX);
    assert_eq!(attributes.forgotten(), at(1, 20));
    assert_eq!(attributes.changed(&3u64.to_le_bytes()), at(1, 20));
}

#[test]
fn both_sides_of_a_cut_keep_what_they_changed() {
    let before = edited(Attributes::NONE.bytes(), at(1, 1), &[(b"a", Some(b"0")), (b"b", Some(b"0"))]);
    let ours = edited(&before, at(1, 2), &[(b"a", Some(b"1"))]);
    let theirs = edited(&before, at(2, 2), &[(b"b", Some(b"2")), (b"c", Some(b"3"))]);
    let merged = joined(&ours, &theirs, at(2, 3));
    assert_eq!(alive(&merged), [(&b"a"[..], &b"1"[..]), (b"b", b"2"), (b"c", b"3")]);
    let attributes = Attributes::trusted(&merged);
    assert!([&b"a"[..], b"b", b"c"].iter().all(|name| attributes.changed(name) == at(2, 3)));
    let other = joined(&theirs, &ours, at(2, 3));
    let sorted = |bytes| {
        let mut all = alive(bytes);
        all.sort_unstable();
        all.into_iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(sorted(&merged), sorted(&other));
}

#[test]
fn an_earlier_state_of_the_same_line_adds_nothing() {
    let before = edited(Attributes::NONE.bytes(), at(1, 1), &[(b"a", Some(b"0")), (b"b", Some(b"0"))]);
    let later = edited(&edited(&before, at(1, 2), &[(b"a", None)]), at(1, 3), &[(b"b", Some(b"1"))]);
    let knows = |a: &[u8], b: &[u8]| {
        let merged = merge(Attributes::trusted(a), Attributes::trusted(b), at(1, 4));
        (merged.is_ours, merged.is_theirs)
    };
    assert_eq!(knows(&later, &before), (true, false));
    assert_eq!(knows(&before, &later), (false, true));
    assert_eq!(knows(&later, &later), (true, true));
}

#[test]
fn a_removal_that_is_forgotten_still_wins() {
    let before = edited(Attributes::NONE.bytes(), at(1, 1), &[(b"admin", Some(b"1"))]);
    let mut later = edited(&before, at(1, 2), &[(b"admin", None)]);
    for number in 0..=limits::SESSION_REMOVED_MAX as u64 {
        let name = number.to_le_bytes();
        later = edited(&later, at(1, 2 * number + 3), &[(&name, Some(b"x"))]);
        later = edited(&later, at(1, 2 * number + 4), &[(&name, None)]);
    }
    assert!(Attributes::trusted(&later).removed().all(|removed| removed.name != b"admin"));
    assert!(Attributes::trusted(&joined(&later, &before, at(2, 5_000))).get(b"admin").is_none());
    assert!(Attributes::trusted(&joined(&before, &later, at(2, 5_000))).get(b"admin").is_none());
}

#[test]
fn damaged_bytes_are_refused() {
    let whole = edited(Attributes::NONE.bytes(), at(1, 1), &[(b"a", Some(b"1")), (b"b", Some(b"2"))]);
    let whole = edited(&whole, at(1, 2), &[(b"b", None)]);
    for cut in 0..whole.len() {
        assert!(Attributes::take(&whole[..cut]).is_err(), "cut at {cut}");
    }
    assert_eq!(Attributes::take(&[&whole[..], b"x"].concat()), Err(Damage::Trailing));
}
