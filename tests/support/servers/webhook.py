"""Takes webhooks on a port of loopback. Each is checked by the library of Standard Webhooks, and written to standard output
as a line of JSON: what came, and whether the signature was right."""

import http.server
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

port, secret = int(sys.argv[1]), sys.argv[2]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            Webhook(secret).verify(body, headers)
            verified = True
        except WebhookVerificationError:
            verified = False
        print(json.dumps({"headers": headers, "body": json.loads(body), "verified": verified}), flush=True)
        self.send_response(204 if verified else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
