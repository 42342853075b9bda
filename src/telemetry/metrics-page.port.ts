/** All metrics of this process in the text that a Prometheus server reads; whoever serves it over HTTP asks here. */
import { Context, type Effect } from "effect"

export class MetricsPage extends Context.Service<
  MetricsPage,
  {
    readonly contentType: string
    readonly text: Effect.Effect<string>
  }
>()("portcullis/telemetry/MetricsPage") {}
