/**
 * grpc.health.v1 for one server: serving until it drains. Orchestrators and `grpc_health_probe` ask it; it needs no chain and no
 * keys.
 */
import { type ServerWritableStream, status } from "@grpc/grpc-js"
import type { HealthCheckRequest, HealthCheckResponse, HealthServer } from "./generated/grpc/health/v1/health.ts"
import { HealthCheckResponse_ServingStatus as Serving } from "./generated/grpc/health/v1/health.ts"

const KNOWN: ReadonlySet<string> = new Set(["", "portcullis.kms.v1.KmsNode"])
/** Watchers hold a stream open each: an orchestrator and a few load balancers. */
const WATCHERS_MAX = 64

type Watcher = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>

export const healthService = () => {
  let isServing = true
  const watchers = new Set<Watcher>()
  const now = () => ({ status: isServing ? Serving.SERVING : Serving.NOT_SERVING })

  const service: HealthServer = {
    check: (call, callback) => {
      if (KNOWN.has(call.request.service)) callback(null, now())
      else callback({ code: status.NOT_FOUND, details: "unknown service" })
    },
    watch: (call) => {
      if (watchers.size >= WATCHERS_MAX) {
        call.emit("error", { code: status.RESOURCE_EXHAUSTED, details: "too many watchers" })
        return
      }
      const isKnown = KNOWN.has(call.request.service)
      call.write(isKnown ? now() : { status: Serving.SERVICE_UNKNOWN })
      watchers.add(call)
      call.on("cancelled", () => watchers.delete(call))
      call.on("error", () => watchers.delete(call))
    }
  }

  return {
    service,
    /** Tells everybody that nothing new should come here, and ends the streams, so that they do not hold up the end. */
    drain: () => {
      isServing = false
      for (const watcher of watchers) {
        watcher.write(now())
        watcher.end()
      }
      watchers.clear()
    }
  }
}
