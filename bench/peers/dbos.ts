/**
 * The six-step journey as a DBOS workflow: each step answers at once and is checkpointed by the library, on a PostgreSQL that the caller
 * started. Workflows are started in this process, which is DBOS's fastest way (no queue in between), with a bounded number under way; the
 * number is tried out, and the best counts.
 */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { JOURNEY, type Milestone } from "../../src/domain/journey.ts"
import type { StepOutcome } from "../../src/domain/outcome.ts"
import { rounded } from "../support/statistics.ts"

export interface PeerFigures {
  /** Workflows finished each second, working off a pile. */
  readonly perSecond: number
  readonly underWay: number
  readonly connections: number
}

const CONNECTIONS = 20
const UNDER_WAY = [32, 128, 512] as const
const WARM_UP = 300

const silent = { info: () => {}, debug: () => {}, warn: () => {}, error: () => {} }

export const measureDbos = async (url: string, outcomes: Readonly<Record<Milestone, StepOutcome>>, pile: number): Promise<ReadonlyArray<PeerFigures>> => {
  const journey = DBOS.registerWorkflow(
    async (_request: { readonly handles: ReadonlyArray<string> }): Promise<string> => {
      for (const reached of JOURNEY) await DBOS.runStep(async () => outcomes[reached], { name: reached })
      return "finalized"
    },
    { name: "journey" }
  )
  DBOS.setConfig({
    name: "portcullis-peer",
    applicationVersion: "1",
    systemDatabaseUrl: url,
    systemDatabasePoolSize: CONNECTIONS,
    logger: silent
  } as Parameters<typeof DBOS.setConfig>[0])
  await DBOS.launch()
  try {
    const request = { handles: [`0x${"ab".repeat(32)}`] }
    const work = async (count: number, underWay: number, label: string): Promise<number> => {
      let next = 0
      const startMs = performance.now()
      const carry = async (): Promise<void> => {
        for (let index = next++; index < count; index = next++) {
          const handle = await DBOS.startWorkflow(journey, { workflowID: `${label}-${index}` })(request)
          await handle.getResult()
        }
      }
      await Promise.all(Array.from({ length: underWay }, carry))
      return (count * 1_000) / (performance.now() - startMs)
    }
    await work(WARM_UP, 32, "warm")
    const figures: Array<PeerFigures> = []
    for (const underWay of UNDER_WAY) {
      figures.push({ perSecond: rounded(await work(pile, underWay, `pile-${underWay}`)), underWay, connections: CONNECTIONS })
    }
    return figures
  } finally {
    await DBOS.shutdown()
  }
}
