"""The application of the checks, for Flask-Session and redis: see run for its routes."""

import os

import flask
import flask_session
import redis
from python_server import serve, wait_between

app = flask.Flask(__name__)
app.config.update(
    SECRET_KEY="a test", SESSION_TYPE="redis", SESSION_COOKIE_NAME="sid",
    SESSION_REDIS=redis.Redis.from_url(os.environ["STORE_URL"]),
)
flask_session.Session(app)


def show():
    session = flask.session
    return {"user": session.get("user"), "count": session.get("count", 0), "id": session.sid}


@app.get("/show")
def looked():
    return show()


@app.get("/add")
def add():
    flask.session["count"] = flask.session.get("count", 0) + 1
    return show()


@app.get("/login")
def login():
    app.session_interface.regenerate(flask.session)
    flask.session["user"] = flask.request.args["user"]
    return show()


@app.get("/logout")
def logout():
    flask.session.clear()
    return show()


@app.get("/slow")
def slow():
    flask.session["count"] = flask.session.get("count", 0) + 1
    wait_between(flask.request.args["begun"], flask.request.args["go"])
    return show()


serve(app)
