// Starts the suite's own origin server, on loopback only: it would listen everywhere.
import http from 'node:http'

const listen = http.Server.prototype.listen
http.Server.prototype.listen = function (port) {
  return listen.call(this, port, '127.0.0.1')
}
await import(process.argv[2])
