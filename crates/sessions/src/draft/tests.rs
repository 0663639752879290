use super::*;
use leveret_model::Instant;

const CLOCK: Clock = Clock { now: Instant::from_nanos(5_000_000_000), unix_origin_ms: 1_000_000 };

fn there(deadline: Deadline) -> Found<'static> {
    Found::Alive { content: Content::String(b"old"), deadline, id: StateId::default() }
}

fn alive(left: i64) -> Found<'static> {
    there(Deadline::from_left(CLOCK.ms(), left))
}

fn draft(rule: Rule, found: Found<'static>) -> Draft<'static, 'static> {
    Draft::new(CLOCK, CLOCK.ms(), rule, 100, found)
}

fn one(found: Found<'static>, command: &KeyCommand<'static>) -> (KeptAnswer, Verdict<'static>) {
    let mut draft = draft(Rule::Stays, found);
    let answer = draft.take(command);
    (answer, draft.verdict())
}

fn set(value: &'static [u8], expiry: Expiry, presence: Presence, answer: SetAnswer) -> KeyCommand<'static> {
    KeyCommand::Set { value, expiry, presence, answer }
}

fn plain(value: &'static [u8], expiry: Expiry) -> KeyCommand<'static> {
    set(value, expiry, Presence::Any, SetAnswer::Status)
}

fn deadline(left: i64) -> Deadline {
    Deadline::from_left(CLOCK.ms(), left)
}

#[test]
fn equal_bytes_with_a_deadline_that_grows_are_a_touch() {
    let touch = one(alive(1_000), &plain(b"old", Expiry::In(2_000)));
    assert_eq!(touch, (KeptAnswer::Ok, Verdict::Touch(deadline(2_000))));
    let shrunk = one(alive(1_000), &plain(b"old", Expiry::In(500)));
    let commit = Verdict::Commit { content: Some(NewContent::String(&b"old"[..])), deadline: deadline(500) };
    assert_eq!(shrunk, (KeptAnswer::Ok, commit));
    assert_eq!(one(alive(-1), &plain(b"old", Expiry::Unsaid)).1, Verdict::Nothing);
    let changed =
        Verdict::Commit { content: Some(NewContent::String(&b"new"[..])), deadline: Deadline::NEVER };
    assert_eq!(one(alive(1_000), &plain(b"new", Expiry::Unsaid)).1, changed);
}

#[test]
fn a_deadline_in_the_past_destroys() {
    let expire = KeyCommand::Expire { left_ms: -5, only: ExpireIf::default() };
    assert_eq!(one(alive(1_000), &expire), (KeptAnswer::Integer(1), Verdict::Destroy));
    assert_eq!(one(Found::Missing, &expire), (KeptAnswer::Integer(0), Verdict::Nothing));
    assert_eq!(one(alive(1_000), &plain(b"x", Expiry::In(0))), (KeptAnswer::Ok, Verdict::Destroy));
    assert_eq!(one(Found::Missing, &plain(b"x", Expiry::In(0))), (KeptAnswer::Ok, Verdict::Nothing));
}

#[test]
fn on_a_gone_key_late_writes_are_answered_as_if_they_had_come_before() {
    let gone = Found::Gone { may_begin: false };
    let (nil, zero) = (KeptAnswer::Nil, KeptAnswer::Integer(0));
    for (command, answer) in [
        (plain(b"x", Expiry::In(9)), KeptAnswer::Ok),
        (set(b"x", Expiry::Keep, Presence::Existing, SetAnswer::Status), KeptAnswer::Ok),
        (set(b"x", Expiry::Unsaid, Presence::Any, SetAnswer::Before), nil.clone()),
        (set(b"x", Expiry::Unsaid, Presence::Missing, SetAnswer::Status), nil.clone()),
        (set(b"x", Expiry::Unsaid, Presence::Missing, SetAnswer::Count), zero.clone()),
    ] {
        assert_eq!(one(gone, &command), (answer, Verdict::Dropped), "{command:?}");
    }
    for (command, answer) in [
        (KeyCommand::Get, nil.clone()),
        (KeyCommand::GetAndDestroy, nil),
        (KeyCommand::Exists, zero.clone()),
        (KeyCommand::Destroy, zero.clone()),
        (KeyCommand::Persist, zero.clone()),
        (KeyCommand::Expire { left_ms: 9, only: ExpireIf::default() }, zero),
        (KeyCommand::Time(TimeForm::LeftMs), KeptAnswer::Integer(-2)),
    ] {
        assert_eq!(one(gone, &command), (answer, Verdict::Nothing), "{command:?}");
    }
}

#[test]
fn who_may_begin_a_new_life_does() {
    let gone = Found::Gone { may_begin: true };
    let birth = Verdict::Birth { content: NewContent::String(b"x"), deadline: Deadline::NEVER };
    assert_eq!(one(gone, &plain(b"x", Expiry::Unsaid)), (KeptAnswer::Ok, birth));
}

#[test]
fn a_block_is_one_commit_or_one_birth() {
    let mut block = draft(Rule::Stays, alive(1_000));
    block.take(&plain(b"a", Expiry::Keep));
    block.take(&KeyCommand::Persist);
    assert_eq!(block.take(&KeyCommand::Get), KeptAnswer::Bytes(b"a"[..].into()));
    let commit = Verdict::Commit { content: Some(NewContent::String(&b"a"[..])), deadline: Deadline::NEVER };
    assert_eq!(block.verdict(), commit);

    let mut block = draft(Rule::Stays, alive(1_000));
    block.take(&KeyCommand::Destroy);
    block.take(&plain(b"a", Expiry::Unsaid));
    assert_eq!(block.verdict(), Verdict::Destroy);

    let mut block = draft(Rule::Free, alive(1_000));
    block.take(&KeyCommand::Destroy);
    block.take(&plain(b"a", Expiry::Unsaid));
    assert_eq!(
        block.verdict(),
        Verdict::Birth { content: NewContent::String(b"a"), deadline: Deadline::NEVER }
    );
}

#[test]
fn conditions_of_expire_are_those_of_redis() {
    let expire = |left_ms, only| KeyCommand::Expire { left_ms, only };
    let none = ExpireIf::default();
    let said = |found, left, only| one(found, &expire(left, only)).0 == KeptAnswer::Integer(1);
    assert!(said(alive(-1), 10, ExpireIf { unset: true, ..none }));
    assert!(!said(alive(10), 10, ExpireIf { unset: true, ..none }));
    assert!(!said(alive(-1), 10, ExpireIf { set: true, ..none }));
    assert!(!said(alive(-1), 10, ExpireIf { later: true, ..none }));
    assert!(said(alive(-1), 10, ExpireIf { earlier: true, ..none }));
    assert!(said(alive(10), 11, ExpireIf { later: true, ..none }));
    assert!(!said(alive(10), 10, ExpireIf { earlier: true, ..none }));
}

#[test]
fn what_is_over_is_missing_and_what_is_too_large_is_refused() {
    let over = there(Deadline::after(Ms(0), 4_999));
    assert_eq!(one(over, &KeyCommand::Get).0, KeptAnswer::Nil);
    let birth = Verdict::Birth { content: NewContent::String(b"x"), deadline: Deadline::NEVER };
    assert_eq!(one(over, &plain(b"x", Expiry::Unsaid)).1, birth);
    let large = plain(&[0; 101], Expiry::Unsaid);
    let refused = KeptAnswer::Refused(SessionRefusal::TooLarge);
    assert_eq!(one(alive(1_000), &large), (refused, Verdict::Nothing));
}
