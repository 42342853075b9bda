/** What `--list` shows: every scenario with its sentence, every verb with its targets and parameters. */
import type { Scenario } from "./scenario.ts"
import type { Verb } from "./verb.ts"

export const listing = (scenarios: ReadonlyArray<Scenario>, verbs: ReadonlyArray<Verb>): string =>
  [
    "Scenarios",
    ...scenarios.flatMap(({ name, sentence, rigs, roundMs }) => [`  ${name}  (${rigs.join(", ")}; a round is ${roundMs / 1_000} s)`, `      ${sentence}`]),
    "",
    "Verbs",
    ...verbs.flatMap(({ name, does, ends, targets, parameters, rigs }) => [
      `  ${name}  (${rigs.join(", ")}; on ${targets.join(", ")})`,
      `      ${does} ${ends}`,
      ...Object.entries(parameters).map(
        ([parameter, { unit, least, most, usual, says }]) => `      ${parameter}: ${least} to ${most}${unit === "choice" ? "" : ` ${unit}`}, usually ${usual}; ${says}`
      )
    ]),
    ""
  ].join("\n")

export const listingJson = (scenarios: ReadonlyArray<Scenario>, verbs: ReadonlyArray<Verb>): string =>
  JSON.stringify({
    scenarios: scenarios.map(({ name, sentence, rigs, roundMs, load }) => ({ name, sentence, rigs, roundMs, load })),
    verbs: verbs.map(({ name, does, ends, targets, parameters, rigs }) => ({ name, does, ends, targets, parameters, rigs }))
  })
