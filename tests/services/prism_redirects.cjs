// Loaded before Prism (node --require): what a service answers by a redirect is passed on as that,
// instead of being followed, credentials included.
"use strict";
const path = require("node:path");
const forwarder = path.dirname(require.resolve("@stoplight/prism-http", { paths: [process.env.RELKIT_NODE] }));
const place = require.resolve("node-fetch", { paths: [forwarder] });
const fetch = require(place);
const manual = (url, options) => fetch(url, { ...options, redirect: "manual" });
require.cache[place].exports = Object.assign(manual, fetch, { default: manual });
