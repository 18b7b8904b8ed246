# A content delivery network as far as a release meets one: what it keeps, and how it forgets.
vcl 4.1;

import purge;
import std;
import xkey;

backend origin {
  .host = "@HOST@";
  .port = "@PORT@";
}

sub vcl_recv {
  unset req.http.X-Soft;

  # Surrogate keys are forgotten through the service's own interface, which always wants the key.
  if (req.url ~ "^/service/") {
    if (req.method != "POST" || req.url !~ "^/service/@SERVICE@/purge/[A-Za-z0-9_-]+$") {
      return (synth(404, "Not found"));
    }
    if (req.http.Fastly-Key != "@KEY@") {
      return (synth(401, "Unauthorized"));
    }
    set req.http.X-Count = xkey.purge(regsub(req.url, "^.*/purge/", ""));
    return (synth(200, "OK"));
  }

  if (req.url == "/tokens/self") {
    if (req.http.Fastly-Key != "@KEY@") {
      return (synth(401, "Unauthorized"));
    }
    return (synth(200, "Token"));
  }

  if (req.url ~ "^/ftp/") {
    set req.url = regsub(req.url, "\?.*$", "");
    unset req.http.Cookie;
  }

  if (req.method == "PURGE") {
    if (@PURGE_AUTH@ && req.http.Fastly-Key != "@KEY@") {
      return (synth(401, "Unauthorized"));
    }
    if (req.http.Fastly-Soft-Purge == "1") {
      set req.http.X-Soft = "1";
      set req.method = "GET";
      return (hash);
    }
    return (purge);
  }

  if (req.url ~ "^/(api|admin)/" || (req.method != "GET" && req.method != "HEAD")) {
    return (pass);
  }
}

# One site, whatever name it is called by here: a proxy before this has another port.
sub vcl_hash {
  hash_data(req.url);
  return (lookup);
}

sub vcl_purge {
  return (synth(200, "OK"));
}

sub vcl_hit {
  if (req.http.X-Soft) {
    purge.soft(0s, -1s, -1s);
    return (synth(200, "OK"));
  }
}

sub vcl_miss {
  if (req.http.X-Soft) {
    return (synth(200, "OK"));
  }
}

sub vcl_backend_response {
  if (beresp.status == 200 || beresp.status == 301 || beresp.status == 302
      || beresp.status == 404 || beresp.status == 410) {
    # What has no lifetime of its own lives an hour, an answer that there is nothing too.
    set beresp.ttl = std.duration(
      regsub(beresp.http.Surrogate-Control, "^.*max-age=([0-9]+).*$", "\1") + "s", 3600s);
    set beresp.grace = 10m;
    set beresp.http.xkey = beresp.http.Surrogate-Key;
  } else {
    set beresp.ttl = 0s;
    set beresp.uncacheable = true;
  }
  return (deliver);
}

sub vcl_synth {
  set resp.http.Content-Type = "application/json";
  if (resp.reason == "Token") {
    set resp.body = {"{"scope": "purge_select", "services": ["@SERVICE@"],
      "expires_at": "2030-01-01T00:00:00Z" }"};
  } elseif (resp.status == 200) {
    set resp.body = {"{"status": "ok", "id": ""} + req.xid + {"" }"};
  } else {
    set resp.body = {"{"msg": ""} + resp.reason + {"" }"};
  }
  return (deliver);
}

sub vcl_deliver {
  unset resp.http.Surrogate-Control;
  unset resp.http.Surrogate-Key;
  unset resp.http.xkey;
  if (obj.hits > 0) {
    set resp.http.X-Cache = "HIT";
  } else {
    set resp.http.X-Cache = "MISS";
  }
}
