//! An axum application with its sessions in Leveret. `tests/sessions/run` drives it: see there for the routes.

use std::path::Path;
use std::time::Duration;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use leveret_tower_sessions::LeveretStore;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_sessions::{Session, SessionManagerLayer};

type Failure = axum::http::StatusCode;
type Shown = Result<Json<Value>, Failure>;

#[derive(Deserialize)]
struct Words {
    user: Option<String>,
    text: Option<String>,
    begun: Option<String>,
    go: Option<String>,
}

fn failed<E: std::fmt::Display>(error: E) -> Failure {
    eprintln!("{error}");
    Failure::INTERNAL_SERVER_ERROR
}

async fn value(session: &Session, name: &str) -> Result<Value, Failure> {
    Ok(session.get_value(name).await.map_err(failed)?.unwrap_or(Value::Null))
}

async fn show(session: Session) -> Shown {
    if session.id().is_none() && session.is_modified() {
        // a new session has no id before it is saved
        session.save().await.map_err(failed)?;
    }
    let count = value(&session, "count").await?;
    Ok(Json(json!({
        "user": value(&session, "user").await?, "note": value(&session, "note").await?,
        "count": if count.is_null() { json!(0) } else { count }, "id": session.id().map(|id| id.to_string()),
    })))
}

async fn add_one(session: &Session) -> Result<(), Failure> {
    let count = value(session, "count").await?.as_u64().unwrap_or(0);
    session.insert("count", count + 1).await.map_err(failed)
}

async fn add(session: Session) -> Shown {
    add_one(&session).await?;
    show(session).await
}

async fn note(session: Session, words: Query<Words>) -> Shown {
    session.insert("note", &words.text).await.map_err(failed)?;
    show(session).await
}

async fn login(session: Session, words: Query<Words>) -> Shown {
    // before anything that the login gives: whoever planted the old id does not get it
    session.cycle_id().await.map_err(failed)?;
    session.insert("user", &words.user).await.map_err(failed)?;
    show(session).await
}

async fn logout(session: Session) -> Shown {
    session.flush().await.map_err(failed)?;
    Ok(Json(json!({ "user": null, "count": 0, "id": null })))
}

async fn slow(session: Session, words: Query<Words>) -> Shown {
    add_one(&session).await?;
    let (begun, go) = (words.begun.as_deref().unwrap_or_default(), words.go.as_deref().unwrap_or_default());
    std::fs::write(begun, "").map_err(failed)?;
    while !Path::new(go).exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    show(session).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = LeveretStore::connect(&std::env::var("STORE_URL")?).await?;
    let sessions = SessionManagerLayer::new(store).with_secure(false).with_name("sid");
    let routes = [
        ("/show", get(show)),
        ("/add", get(add)),
        ("/note", get(note)),
        ("/login", get(login)),
        ("/logout", get(logout)),
        ("/slow", get(slow)),
    ];
    let router = routes.into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?.port());
    axum::serve(listener, router.layer(sessions)).await?;
    Ok(())
}
