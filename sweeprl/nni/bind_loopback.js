// Preloaded into Node: a server that names no host is heard on this machine only.
"use strict";

const net = require("net");

const HOST = "127.0.0.1";
const listen = net.Server.prototype.listen;

// The forms of https://nodejs.org/api/net.html#serverlisten
function confined([first, second, ...rest]) {
  if (typeof first === "number" || (typeof first === "string" && /^\d+$/.test(first))) {
    if (typeof second === "string") return [first, second, ...rest];
    return [first, HOST, ...(second === undefined || second === null ? rest : [second, ...rest])];
  }
  if (first === undefined || first === null) return [0, HOST, ...[second, ...rest].filter(isFunction)];
  if (isFunction(first)) return [0, HOST, first];
  if (typeof first === "object" && first.port !== undefined && !first.host) {
    return [{ ...first, host: HOST }, second, ...rest];
  }
  return [first, second, ...rest]; // a path, a handle, or options with a host
}

function isFunction(value) {
  return typeof value === "function";
}

net.Server.prototype.listen = function (...args) {
  return listen.apply(this, confined(args));
};
