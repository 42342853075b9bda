import { telemetryLayer } from "../../src/adapters/prometheus/telemetry.layer.ts"
import { telemetryLaws } from "./telemetry.laws.ts"

telemetryLaws("prom-client and pino", (onFact) => {
  const lines: Array<string> = []
  const write = (line: string) => void lines.push(line)
  const layer = telemetryLayer({
    level: "info",
    worker: "gateway-1",
    to: { write },
    processMetrics: false,
    ...(onFact === undefined ? {} : { onFact })
  })
  return { layer, lines }
})
