from . import test_connecting, test_fetching, test_inbound, test_notifying, test_queue, test_registration, test_servers
