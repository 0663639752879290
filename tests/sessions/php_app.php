<?php
// The application of the checks, for PHP's own sessions over phpredis: see run for its routes and settings.
session_name('sid');
session_start();
parse_str($_SERVER['QUERY_STRING'] ?? '', $query);
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/add':
        $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
        break;
    case '/login':
        session_regenerate_id(true);
        $_SESSION['user'] = $query['user'];
        break;
    case '/logout':
        $_SESSION = [];
        session_destroy();
        break;
    case '/slow':
        $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
        touch($query['begun']);
        while (!file_exists($query['go'])) {
            usleep(10000);
            clearstatcache();
        }
        break;
}
header('Content-Type: application/json');
echo json_encode(['user' => $_SESSION['user'] ?? null, 'count' => $_SESSION['count'] ?? 0, 'id' => session_id()]);
