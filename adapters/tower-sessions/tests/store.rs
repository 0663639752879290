//! The store without an application, against a node: `LEVERET_URL=redis://127.0.0.1:6379 cargo test`.

use leveret_tower_sessions::{LeveretStore, RESERVED_KEY};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tower_sessions_core::SessionStore as _;
use tower_sessions_core::session::{Id, Record};

async fn store() -> LeveretStore {
    let url = std::env::var("LEVERET_URL").expect("LEVERET_URL names a node with sessions");
    LeveretStore::connect(&url).await.expect("it answers").with_prefix("test:")
}

fn fresh(values: &[(&str, Value)]) -> Record {
    let data = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Record { id: Id::default(), data, expiry_date: OffsetDateTime::now_utc() + Duration::minutes(1) }
}

async fn begun(store: &LeveretStore, values: &[(&str, Value)]) -> Id {
    let mut record = fresh(values);
    store.create(&mut record).await.expect("it is created");
    record.id
}

async fn load(store: &LeveretStore, id: Id) -> Record {
    store.load(&id).await.expect("it is loaded").expect("it is there")
}

/// What people put into it.
fn shown(record: &Record) -> Value {
    let values = record.data.iter().filter(|(name, _)| *name != RESERVED_KEY);
    Value::Object(values.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[tokio::test]
async fn what_was_created_is_loaded_with_its_end_and_an_unknown_id_is_nothing() {
    let store = store().await;
    let id = begun(&store, &[("user", json!("hare")), ("cart", json!([1, { "two": "ü" }]))]).await;
    let record = load(&store, id).await;
    assert_eq!(shown(&record), json!({ "user": "hare", "cart": [1, { "two": "ü" }] }));
    let left = record.expiry_date - OffsetDateTime::now_utc();
    assert!(left > Duration::ZERO && left <= Duration::minutes(1), "{left}");
    assert!(store.load(&Id::default()).await.expect("it answers").is_none());
}

#[tokio::test]
async fn two_requests_that_change_different_values_keep_both() {
    let store = store().await;
    let id = begun(&store, &[("one", json!(1)), ("other", json!(1)), ("old", json!(1))]).await;
    let (mut slow, mut fast) = (load(&store, id).await, load(&store, id).await);
    fast.data.insert("other".to_owned(), json!(2));
    fast.data.remove("old");
    store.save(&fast).await.expect("it is saved");
    slow.data.insert("one".to_owned(), json!(2));
    store.save(&slow).await.expect("it is saved");
    assert_eq!(shown(&load(&store, id).await), json!({ "one": 2, "other": 2 }));
}

#[tokio::test]
async fn a_new_session_may_be_saved_again_by_the_same_request() {
    let store = store().await;
    let mut record = fresh(&[("count", json!(1))]);
    store.create(&mut record).await.expect("it is created");
    record.data.insert("count".to_owned(), json!(2));
    store.save(&record).await.expect("it is saved");
    assert_eq!(shown(&load(&store, record.id).await), json!({ "count": 2 }));
}

#[tokio::test]
async fn a_save_that_ends_after_the_logout_is_no_error_and_brings_nothing_back() {
    let store = store().await;
    let id = begun(&store, &[("user", json!("hare"))]).await;
    let mut record = load(&store, id).await;
    store.delete(&id).await.expect("it is deleted");
    record.data.insert("user".to_owned(), json!("fox"));
    store.save(&record).await.expect("the change is dropped");
    assert!(store.load(&id).await.expect("it answers").is_none());
}

#[tokio::test]
async fn a_cleared_session_holds_what_was_set_since() {
    let store = store().await;
    let id = begun(&store, &[("user", json!("hare")), ("cart", json!(1))]).await;
    let mut record = load(&store, id).await;
    record.data.clear();
    record.data.insert("user".to_owned(), json!("fox"));
    store.save(&record).await.expect("it is saved");
    assert_eq!(shown(&load(&store, id).await), json!({ "user": "fox" }));
}

#[tokio::test]
async fn an_id_that_is_in_use_is_not_given_to_a_second_session() {
    let store = store().await;
    let id = begun(&store, &[("user", json!("hare"))]).await;
    let mut second = Record { id, ..fresh(&[("user", json!("fox"))]) };
    store.create(&mut second).await.expect("it is created");
    assert_ne!(second.id, id);
    assert_eq!(shown(&load(&store, id).await), json!({ "user": "hare" }));
    assert_eq!(shown(&load(&store, second.id).await), json!({ "user": "fox" }));
}
