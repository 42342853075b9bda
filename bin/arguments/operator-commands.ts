/** Commands for those who run gateways and nodes: health, cluster, keys, evidence. */
import { type Command, Option } from "commander"
import { COMMITTEE_NODES_MAX } from "../../src/domain/limits.ts"
import { PARKED_KEPT_MAX } from "../../src/messaging/bus-limits.ts"
import { endpoints, keyFileOption, nodeFile, reason, requestId, whole, withCommonOptions } from "./read-argument.ts"

const EPOCH_MAX = 4_294_967_295

export const addOperatorCommands = (program: Command): void => {
  withCommonOptions(program.command("doctor"))
    .description("Look at everything a gateway or a KMS node stands on, and say what to do about what is not well. Changes nothing.")
    .action(async (options) => (await import("../commands/doctor.ts")).doctor(options))

  withCommonOptions(program.command("deploy"))
    .description("Deploy the contracts, register a committee as the first epoch, and write the deployment file.")
    .requiredOption("--committee <file>", "the committee record, as `keys deal` writes it")
    .requiredOption("--out <file>", "new file for the deployment: chain, addresses, start block")
    .option("--rpc <url>", "JSON-RPC endpoint (default: PORTCULLIS_RPC_URL)")
    .addOption(keyFileOption())
    .action(async (options) => (await import("../commands/deploy.ts")).deploy(options))

  withCommonOptions(program.command("verify"))
    .description("Hold a live cluster to the checks C1..C7: chain, ledger and the KMS nodes' own logs against each other. Changes nothing.")
    .option("--blocks <n>", "how many final blocks of the chain are read", whole(1, 1_000_000), 10_000)
    .option("--newest <n>", "how many of the newest requests are looked at, beside all that are open", whole(1, 100_000), 5_000)
    .option("--kms-log <node=file>", "a KMS node's own answer log; may be repeated, and C4 needs one from every node", nodeFile, [])
    .option("--all", "then every request of the ledger, page by page; what was found and how far it has come is said on stderr")
    .option("--after <id>", "with --all: go on after this request, as an earlier walk said", requestId)
    .option("--page <n>", "with --all: how many requests are read at once", whole(1, 5_000), 500)
    .option("--every <seconds>", "look again and again until something is violated", whole(1, 86_400))
    .action(async (options) => (await import("../commands/verify.ts")).verify(options))

  withCommonOptions(program.command("lanes"))
    .description("The sending accounts: who drives each, whether it sends and if not why, balance, spending, open nonces, and what waits.")
    .option("--window <minutes>", "what was spent in the last so many minutes", whole(1, 10_080), 60)
    .action(async (options) => (await import("../commands/lanes.ts")).lanes(options))

  addParkedCommands(program.command("parked").description("Messages that nobody could read, kept apart by NATS."))
  addClusterCommands(program.command("cluster").description("The gateway nodes of a cluster, and switches for operators."))
  addKeysCommands(program.command("keys").description("Keys and certificates of a committee, FOR DEVELOPMENT."))
  addEvidenceCommands(program.command("evidence").description("Proofs that a KMS node has lied."))
}

const WHAT = "everything, step:<step>, chain:<id>, listener:<chain id> or lane:<chain id>/<address>"

const addClusterCommands = (cluster: Command): void => {
  withCommonOptions(cluster.command("status"))
    .description("Nodes with their roles, state and what they hold; what is paused; what operators did last.")
    .action(async (options) => (await import("../commands/cluster-status.ts")).clusterStatus(options))

  withCommonOptions(cluster.command("drain"))
    .description("Let a node finish or give back its work and end. Waits until it has; ends with 0 only then.")
    .argument("<node>", "the node's name, or name and boot nonce as `cluster status` shows it")
    .option("--why <text>", "kept for ever", reason, "drained by an operator")
    .action(async (node, options) => (await import("../commands/cluster-drain.ts")).clusterDrain(node, options))

  withCommonOptions(cluster.command("pause"))
    .description("Stop a part of the work on every node, until it is resumed. Nothing is lost; deadlines go on.")
    .argument("<what>", WHAT)
    .requiredOption("--why <text>", "kept for ever", reason)
    .action(async (what, options) => (await import("../commands/cluster-pause.ts")).clusterPause(what, options))

  withCommonOptions(cluster.command("resume"))
    .description("Take a pause back.")
    .argument("<what>", WHAT)
    .option("--why <text>", "kept for ever", reason, "resumed by an operator")
    .action(async (what, options) => (await import("../commands/cluster-pause.ts")).clusterResume(what, options))

  withCommonOptions(cluster.command("reconcile"))
    .description("Say that the database may have lost commits (a backup was restored): lanes wait until the chain has been asked what was lost.")
    .requiredOption("--why <text>", "kept for ever", reason)
    .option("--dry-run", "only say what would be done")
    .action(async (options) => (await import("../commands/cluster-reconcile.ts")).clusterReconcile(options))
}

const PARKED_ID = "as `parked list` shows it"
const OF_SUBJECT = "only those that were going there, e.g. decryption.outcome.3"

const addParkedCommands = (parked: Command): void => {
  withCommonOptions(parked.command("list"))
    .description("What is parked, newest first: where it was going, since when, after how many deliveries, and why.")
    .option("--subject <subject>", OF_SUBJECT)
    .option("--limit <n>", "at most this many", whole(1, PARKED_KEPT_MAX), 20)
    .action(async (options) => (await import("../commands/parked.ts")).parkedList(options))

  withCommonOptions(parked.command("show"))
    .description("One parked message with its body.")
    .argument("<id>", PARKED_ID)
    .action(async (id, options) => (await import("../commands/parked.ts")).parkedShow(id, options))

  withCommonOptions(parked.command("redrive"))
    .description("Let parked messages go their way again: one, those of a subject, or all. Recorded for ever with your user name.")
    .argument("[id]", PARKED_ID)
    .option("--all", "all that are kept")
    .option("--subject <subject>", OF_SUBJECT)
    .requiredOption("--why <text>", "what was mended, in one line", reason)
    .action(async (id, options) => (await import("../commands/parked.ts")).parkedRedrive(id, options))

  withCommonOptions(parked.command("drop"))
    .description("Forget a parked message. Recorded for ever with your user name.")
    .argument("<id>", PARKED_ID)
    .requiredOption("--why <text>", "kept for ever", reason)
    .action(async (id, options) => (await import("../commands/parked.ts")).parkedDrop(id, options))
}

const addKeysCommands = (keys: Command): void => {
  withCommonOptions(keys.command("deal"))
    .description("FOR DEVELOPMENT ONLY: deal a committee's keys on this machine, which then has seen the whole key.")
    .requiredOption("--directory <directory>", "new or empty directory for the committee record and a directory for each node")
    .requiredOption("--nodes <n>", "how many nodes", whole(1, COMMITTEE_NODES_MAX))
    .requiredOption("--threshold <k>", "how many of them are needed", whole(1, COMMITTEE_NODES_MAX))
    .requiredOption("--endpoints <host:port,...>", "where each node will serve, in the order of their ids", endpoints)
    .addOption(new Option("--scheme <scheme>", "how the committee attests").choices(["bls", "quorum"]).default("bls"))
    .option("--epoch <e>", "the epoch that the registry will give this committee", whole(1, EPOCH_MAX), 1)
    .action(async (options) => (await import("../commands/keys-deal.ts")).keysDeal(options))

  withCommonOptions(keys.command("certificates"))
    .description("FOR DEVELOPMENT ONLY: certificates for mutual TLS between gateways and the nodes of a dealt committee.")
    .requiredOption("--directory <directory>", "what `keys deal` has filled")
    .action(async (options) => (await import("../commands/keys-certificates.ts")).keysCertificates(options))
}

const addEvidenceCommands = (evidence: Command): void => {
  withCommonOptions(evidence.command("verify"))
    .description("Judge an evidence file. With a chain, under the committee record that the chain has. Ends with 0 when it proves a lie.")
    .argument("<file>", "the evidence, as `evidence export` writes it")
    .option("--rpc <url>", "JSON-RPC endpoint (default: PORTCULLIS_RPC_URL)")
    .option("--deployment <file>", "the deployment that you trust (default: PORTCULLIS_DEPLOYMENT_FILE)")
    .option("--offline", "ask no chain, whatever the settings say")
    .action(async (file, options) => (await import("../commands/evidence-verify.ts")).evidenceVerify(file, options))

  withCommonOptions(evidence.command("list"))
    .description("List the evidence that the ledger keeps, newest first.")
    .option("--limit <n>", "at most this many", whole(1, 10_000), 100)
    .action(async (options) => (await import("../commands/evidence-kept.ts")).evidenceList(options))

  withCommonOptions(evidence.command("export"))
    .description("Take one proof out of the ledger, as a file that anybody can verify.")
    .argument("<request>", "the request: 0x and 64 hex digits")
    .argument("<node>", "the node's id", whole(1, COMMITTEE_NODES_MAX))
    .option("--out <file>", "new file (default: stdout)")
    .action(async (request, node, options) => (await import("../commands/evidence-kept.ts")).evidenceExport(request, node, options))
}
