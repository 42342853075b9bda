/** Commands that run something until they are stopped. Roles and faults are spelled out here, and read where they are used: help should not have
 * to wait until half of the program is loaded (a test keeps them in agreement). */
import { type Command, Option } from "commander"
import { whole } from "./read-argument.ts"

const JSON_LOGS = "say what is wrong with settings in JSON; logs always are"

export const addServerCommands = (program: Command): void => {
  program
    .command("dev")
    .description("Run the whole journey on this machine, with everything it needs, and watch requests travel through it.")
    .option("--requests <n>", "raise this many public and this many user requests, one that is refused and one that cannot be fetched", whole(1, 10_000))
    .option("--exit", "end when all of them have ended")
    .option("--json", "print one JSON line at the end instead of the live view")
    .addOption(new Option("--scheme <scheme>", "how the committee attests").choices(["bls", "quorum"]).default("bls"))
    .action(async (options) => (await import("../commands/dev.ts")).dev(options))

  program
    .command("gateway")
    .description("Run a gateway node.")
    .option("--roles <roles>", "any of listener,coordinator,worker,worker:<step>,sender,api (default: all, or PORTCULLIS_ROLES)")
    .option("--settings <file>", "file with settings, one NAME=value in each line; the environment wins")
    .option("--json", JSON_LOGS)
    .action(async (options) => (await import("../commands/gateway.ts")).gateway(options))

  program
    .command("kms-node")
    .description("Run a KMS node: holder of one share of a committee's keys.")
    .option("--settings <file>", "file with settings, one NAME=value in each line; the environment wins")
    .option("--json", JSON_LOGS)
    .option(
      "--fault <fault>",
      "misbehave on purpose: wrong-share, equivocate, malformed, silent, refuse, throttle, broken, oversized; for tests and chaos only"
    )
    .action(async (options) => (await import("../commands/kms-node.ts")).kmsNode(options))
}
