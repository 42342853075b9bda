/**
 * What a gateway shows of itself over HTTP: metrics for Prometheus, health for probes and people, and what else it is given.
 * Read-only and without secrets.
 */
import { Effect, type Scope } from "effect"
import type { Resilience } from "../../resilience/guards.ts"
import type { MetricsPage } from "../../telemetry/metrics-page.port.ts"
import { HEALTH_BOUNDS, type HealthBounds, type HealthChecks, watchHealth } from "./health.ts"
import { type HttpAnswer, type HttpNotStarted, type HttpServerOptions, type Routes, serveRoutes } from "./http-server.ts"

export interface GatewayHttpOptions extends HttpServerOptions {
  readonly metrics: MetricsPage["Service"]
  readonly checks: HealthChecks
  readonly bounds?: HealthBounds
  /** What is believed of everything outside of this process (docs/resilience.md). */
  readonly resilience?: Effect.Effect<Resilience>
  /** False while the gateway starts or drains, whatever the parts say; true unless given. */
  readonly isTakingWork?: Effect.Effect<boolean>
  /** What this node serves besides. */
  readonly routes?: Routes
}

/**
 * `/metrics`; `/health/live`: 200 as long as the process turns; `/health/ready`: 200 when no part is down and work is taken,
 * else 503; `/health`: every part with its latency, 503 when one is down; `/resilience`: every breaker and budget, always 200.
 */
export const serveGatewayHttp = Effect.fnUntraced(function* (
  options: GatewayHttpOptions
): Effect.fn.Return<{ readonly url: string; readonly port: number }, HttpNotStarted, Scope.Scope> {
  const health = yield* watchHealth(options.checks, options.bounds ?? HEALTH_BOUNDS)
  const isTakingWork = options.isTakingWork ?? Effect.succeed(true)
  return yield* serveRoutes(
    {
      ...options.routes,
      "/metrics": Effect.map(options.metrics.text, (body) => ({ status: 200, contentType: options.metrics.contentType, body })),
      "/health/live": Effect.succeed(json(200, { status: "up" })),
      "/health/ready": Effect.map(Effect.all([health, isTakingWork]), ([{ overall }, takesWork]) => {
        const isReady = overall !== "down" && takesWork
        return json(isReady ? 200 : 503, { status: isReady ? overall : "down", takesWork })
      }),
      ...(options.resilience === undefined
        ? {}
        : { "/resilience": Effect.map(options.resilience, (state) => json(200, state)) }),
      "/health": Effect.map(health, (parts) => json(parts.overall === "down" ? 503 : 200, parts))
    },
    options
  )
})

export const json = (status: number, body: unknown): HttpAnswer => ({
  status,
  contentType: "application/json",
  body: `${JSON.stringify(body)}\n`
})
