"""How gunicorn serves the application; everything comes from the environment."""

from webapp.lib.environment import read_environment_or_exit

_environment = read_environment_or_exit()

bind = (
    f"[{_environment.bind}]:{_environment.port}"
    if ":" in _environment.bind
    else f"{_environment.bind}:{_environment.port}"
)
worker_class = "gthread"
workers = _environment.web_workers
threads = _environment.web_threads
preload_app = True  # one import for all processes, and a broken one ends the start at once
timeout = 60
graceful_timeout = 5
keepalive = 5
loglevel = "warning"
accesslog = None
errorlog = "-"
control_socket_disable = True
forwarded_allow_ips = "127.0.0.1,::1"


def when_ready(_server) -> None:
    """Load what answers requests before workers are forked: so it also stays shared among them."""
    from webapp.lib.loaded import load_pages  # not before the application has set up Django

    load_pages()
