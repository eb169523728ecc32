"""The one way out: from a server, through its warden, to endpoints that the user allowed.

Two processes, so that neither has both ends. The *gateway* has a network and no server: it listens
on a UNIX socket in a volume and leads each connection to an endpoint of its own list. The *outlet*
is in the warden, which has the server's connections and no network: it hands the allowed ones to
the gateway and writes down what is asked through them.

A connection to the gateway begins with one line of JSON each way: ``{"host": …, "port": …}``, and
``{"ok": true, "address": …}`` or ``{"ok": false, "error": …}``. After ``ok`` come the bytes.
"""
