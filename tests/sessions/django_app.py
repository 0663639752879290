"""The application of the checks, for Django's session engine over the cache whose class is the argument: see run."""

import os
import sys

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="a test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=False,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    INSTALLED_APPS=["django.contrib.sessions"], SESSION_COOKIE_NAME="sid",
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    CACHES={"default": {
        "BACKEND": sys.argv[1], "LOCATION": os.environ["STORE_URL"],
    }},
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from python_server import serve, wait_between  # noqa: E402


def show(request):
    session = request.session
    return JsonResponse(
        {"user": session.get("user"), "count": session.get("count", 0), "id": session.session_key})


def add(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return show(request)


def login(request):
    request.session.cycle_key()
    request.session["user"] = request.GET["user"]
    return show(request)


def logout(request):
    request.session.flush()
    return show(request)


def slow(request):
    request.session["count"] = request.session.get("count", 0) + 1
    wait_between(request.GET["begun"], request.GET["go"])
    return show(request)


urlpatterns = [path(view.__name__, view) for view in (show, add, login, logout, slow)]

serve(get_wsgi_application())
