/** Runs one scenario with one seed on one rig: load, faults by the timetable, healing, waiting, checking. Knows neither rig from the other. */
import { isEnd } from "../src/domain/journey.ts"
import { CannotInject, type Rig, type Settled, type Undo } from "./rig.ts"
import { endsOf, SETTLE_MS, type Scenario, type Seen } from "./scenario.ts"
import { roundsOf, timetable, type Step } from "./schedule.ts"
import { verbNamed } from "./vocabulary.ts"

/** How often load is raised: everything that is due by then goes in one go. */
const LOAD_EVERY_MS = 500

/** One invariant, looked at over everything that the run left behind. */
export interface Check {
  readonly name: string
  /** How much was looked at: a check that saw nothing has shown nothing. */
  readonly examined: number
  readonly violations: ReadonlyArray<string>
}

export interface Verdict {
  readonly ok: boolean
  readonly scenario: string
  readonly seed: number
  readonly requests: number
  readonly ended: Settled["ended"]
  readonly injected: Readonly<Record<string, number>>
  readonly checks: Readonly<Record<string, "held" | "violated" | "nothing to look at">>
  readonly violations: ReadonlyArray<string>
}

export interface CampaignOptions<Records> {
  readonly scenario: Scenario
  readonly seed: number
  /** Rounded to whole rounds, at least one. */
  readonly spanMs: number
  /** For a herd: how many, instead of what the scenario says. */
  readonly requests?: number
  readonly check: (records: Records, seen: Seen) => ReadonlyArray<Check> | Promise<ReadonlyArray<Check>>
}

/** How many requests a run raises at most: rigs prepare them. */
export const requestsOf = ({ scenario, spanMs, requests }: Pick<CampaignOptions<never>, "scenario" | "spanMs" | "requests">, rig: Rig["name"]): number => {
  const { load } = scenario
  if (load.type === "herd") return requests ?? (rig === "process" ? load.requestsOnProcesses : load.requests)
  return Math.ceil((load.perSecond * roundsOf(scenario, spanMs) * scenario.roundMs) / 1_000)
}

export const runCampaign = async <Records>(rig: Rig<Records>, options: CampaignOptions<Records>): Promise<Verdict> => {
  const { scenario, seed, spanMs } = options
  const injected: Record<string, number> = {}
  const problems: Array<string> = []
  const lasting = new Set<{ readonly endMs: number; readonly undo: () => Promise<void> }>()
  const started = rig.nowMs()
  const elapsed = () => rig.nowMs() - started
  const steps = [...timetable(scenario, rig.shape, seed, spanMs)]
  const total = requestsOf(options, rig.name)
  const loadMs = roundsOf(scenario, spanMs) * scenario.roundMs
  const underWay = new Set<Promise<void>>()
  let begun = 0
  let raised = 0

  const raise = async (count: number, inOneBlock: boolean) => {
    await rig.raise(count, { inOneBlock })
    raised += count
    rig.note({ node: "load", kind: "raised", text: `${count}` })
  }
  const dueBy = (ms: number): number =>
    scenario.load.type === "herd" ? total : Math.min(total, Math.floor((scenario.load.perSecond * Math.min(ms, loadMs)) / 1_000))

  const inject = async (step: Step) => {
    const verb = verbNamed(step.verb)
    const what = describeStep(step)
    try {
      if (verb === undefined) throw new CannotInject(step.verb, "there is no such verb")
      rig.note({ node: step.target, kind: "injected", text: what })
      const undo: Undo = await verb.apply(rig.levers, step.target, step.values, step.peer)
      injected[step.verb] = (injected[step.verb] ?? 0) + 1
      if (step.forMs === undefined) return
      const end = {
        endMs: elapsed() + step.forMs,
        undo: async () => {
          lasting.delete(end)
          await undo().catch((error: unknown) => void problems.push(`${what} could not be undone: ${String(error)}`))
          rig.note({ node: step.target, kind: "undone", text: step.verb })
        }
      }
      lasting.add(end)
    } catch (error) {
      // A fault that was never injected has tested nothing: the run is not a success.
      problems.push(`${what} was not injected: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  /** Where time passes by itself, a fault that takes a while holds up neither the load nor other faults. */
  const begin = async (work: Promise<void>) => {
    if (rig.name === "sim") return work
    const tracked = work.catch((error: unknown) => void problems.push(String(error))).finally(() => underWay.delete(tracked))
    underWay.add(tracked)
  }
  const raiseDue = async (ms: number) => {
    const due = dueBy(ms) - begun
    if (due <= 0) return
    begun += due
    await begin(raise(due, scenario.load.type === "herd"))
  }

  for (;;) {
    await raiseDue(elapsed())
    const now = elapsed()
    for (const over of [...lasting].filter(({ endMs }) => endMs <= now).toSorted((a, b) => a.endMs - b.endMs)) await begin(over.undo())
    while (steps[0] !== undefined && steps[0].atMs <= elapsed()) await begin(inject(steps.shift()!))
    if (steps.length === 0 && lasting.size === 0 && underWay.size === 0 && elapsed() >= loadMs) break
    const next = Math.min(steps[0]?.atMs ?? Infinity, ...[...lasting].map(({ endMs }) => endMs), elapsed() + LOAD_EVERY_MS)
    await rig.pass(Math.max(1, next - elapsed()))
  }
  await raiseDue(loadMs)
  await Promise.all(underWay)
  rig.note({ node: "campaign", kind: "phase", text: `every fault is undone; waiting for ${raised} requests to end` })
  const settled = await rig.settle(scenario.settleMs ?? SETTLE_MS)
  const seen: Seen = { settled, events: rig.events(), injected, requests: raised }
  const checks = [obvious(scenario, seen), ...(await options.check(await rig.records(), seen))]
  const unmet = (scenario.holds ?? []).filter(({ holds }) => !holds(seen)).map(({ sentence }) => `this does not hold: ${sentence}`)
  const violations = [...problems, ...unmet, ...checks.flatMap(({ name, violations: found }) => found.map((text) => `${name}: ${text}`))]
  return {
    ok: violations.length === 0,
    scenario: scenario.name,
    seed,
    requests: raised,
    ended: settled.ended,
    injected,
    checks: Object.fromEntries(
      checks.map(({ name, examined, violations: found }) => [name, found.length > 0 ? "violated" : examined === 0 ? "nothing to look at" : "held"])
    ),
    violations
  }
}

/** What needs no records: everything that was raised has ended, in a way that the scenario allows, and no process ended that nobody ended. */
const obvious = (scenario: Scenario, { settled, requests, events }: Seen): Check => {
  const allowed = endsOf(scenario)
  const ended = Object.values(settled.ended).reduce((sum, count) => sum + count, 0)
  return {
    name: "ended",
    examined: requests,
    violations: [
      ...events.filter(({ kind }) => kind === "ended").map(({ node, text }) => `${node} ${text}`),
      ...settled.open.map(({ id, state }) => `${id} has not ended; it stands in ${state ?? "no state: it was never detected"}`),
      ...Object.entries(settled.ended).flatMap(([end, count]) =>
        count === 0 || (isEnd(end as never) && allowed.includes(end as never)) ? [] : [`${count} ended ${end}, and only ${allowed.join(" or ")} is allowed here`]
      ),
      ...(ended + settled.open.length === requests ? [] : [`${requests} were raised, ${ended} ended and ${settled.open.length} are open`])
    ]
  }
}

export const describeStep = ({ verb, target, peer, values, forMs }: Omit<Step, "atMs">): string => {
  const details = [
    ...(peer === undefined ? [] : [`with ${peer}`]),
    ...Object.entries(values).map(([name, value]) => `${name} ${Number.isInteger(value) ? value : value.toFixed(2)}`),
    ...(forMs === undefined ? [] : [`for ${forMs} ms`])
  ]
  return `${verb} ${target}${details.length === 0 ? "" : ` (${details.join(", ")})`}`
}
