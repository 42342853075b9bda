/** The `portcullis` command: one file for each subcommand, none of which is loaded before it is called. */
import { Command } from "commander"
import { VERSION } from "./version.ts"

const program = new Command("portcullis")
  .description("A threshold-decryption gateway: from a contract's request to a verified, finalized decryption.")
  .version(VERSION)
  .showHelpAfterError("(add --help for what is possible)")

program
  .command("dev")
  .description("Run the whole journey on this machine, with everything it needs, and watch requests travel through it.")
  .option("--requests <n>", "raise this many public and this many user requests, one that is refused and one that cannot be fetched", count)
  .option("--exit", "end when all of them have ended")
  .option("--json", "print one JSON line at the end instead of the live view")
  .option("--scheme <scheme>", "how the committee attests: bls or quorum", "bls")
  .action(async (options) => (await import("./commands/dev.ts")).dev(options))

program
  .command("gateway")
  .description("Run a gateway node.")
  .option("--roles <roles>", "any of listener,coordinator,worker,sender,api (default: all, or PORTCULLIS_ROLES)")
  .option("--settings <file>", "file with settings, one NAME=value in each line; the environment wins")
  .action(async (options) => (await import("./commands/gateway.ts")).gateway(options))

program
  .command("kms-node")
  .description("Run a KMS node: holder of one share of a committee's keys.")
  .option("--settings <file>", "file with settings, one NAME=value in each line; the environment wins")
  .option("--fault <fault>", "misbehave on purpose; for tests and chaos only")
  .action(async (options) => (await import("./commands/kms-node.ts")).kmsNode(options))

await program.parseAsync()

function count(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 10_000) program.error("--requests takes a whole number from 1 to 10000", { exitCode: 2 })
  return value
}
