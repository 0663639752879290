"""What each store must show in each row, on Redis and on Leveret; a difference has its reason here."""

# Stock stores write the session back when a request ends, so on Redis a request that was under way at a logout
# brings the session back with its user. Leveret drops that write. Django's save uses SET XX and finds nothing;
# Spring Session looks first and ends the request with a 500.
UNDONE = {
    "redis": {"express": True, "flask": True, "django": False, "django-redis": False, "phpredis": True, "spring": False},
    "leveret": {"express": False, "flask": False, "django": False, "django-redis": False, "phpredis": False, "express-merging": False, "tower-sessions": False,
                "spring": False},
}

# A slow request and a fast one change different attributes. Stores that write a session as one string lose what the fast
# one wrote; those that change attributes one by one (Spring: fields of a hash) keep both. Applications of the other stores lack the route.
KEEPS_BOTH = {"express": False, "express-merging": True, "tower-sessions": True, "spring": True}

# Stores that need commands of Leveret.
NATIVE = ("express-merging", "tower-sessions")

STORES = tuple(UNDONE["leveret"])
