"""What each store must show in each row, on Redis and on Leveret; a difference has its reason here."""

# Stock stores write the session back when a request ends, so on Redis a request that was under way at a logout
# brings the session back with its user. Leveret drops that write. Django's save uses SET XX and finds nothing.
UNDONE = {
    "redis": {"express": True, "flask": True, "django": False, "django-redis": False, "phpredis": True},
    "leveret": {"express": False, "flask": False, "django": False, "django-redis": False, "phpredis": False},
}
