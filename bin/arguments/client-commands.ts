/** Commands that do what a dApp does: encrypt, ask, watch, open. */
import { type Command, Option } from "commander"
import { ENDS, JOURNEY } from "../../src/domain/journey.ts"
import { also, keyFileOption, reason, storeOption, whole, withChainOptions, withCommonOptions } from "./read-argument.ts"

const DAY_SECONDS = 86_400
const waitSeconds = whole(1, DAY_SECONDS)

export const addClientCommands = (program: Command): void => {
  withCommonOptions(withChainOptions(program.command("encrypt")))
    .description("Encrypt a value for the latest committee, put it into a store, and say under which handle it is known.")
    .option("--value-file <file>", "the value (default: stdin); never an argument")
    .addOption(storeOption())
    .addOption(keyFileOption())
    .option("--owner <address>", "who will own the handle (default: the account of --key-file)")
    .option("--register", "register the handle on chain; the owner's key file is needed")
    .option("--allow-public", "and let everybody ask for it to be made public")
    .option("--allow <address>", "and let this account have it decrypted for itself; may be repeated", also)
    .action(async (options) => (await import("../commands/encrypt.ts")).encrypt(options))

  addRequestCommands(program.command("request").description("Raise requests, and look at what becomes of them."))
}

const addRequestCommands = (request: Command): void => {
  withRaiseOptions(request.command("public"))
    .description("Ask for the plaintexts of 1 to 32 handles to be made public.")
    .argument("<handle...>", "0x and 64 hex digits each")
    .option("--callback-gas <gas>", "gas for onDecrypted of the requesting contract", whole(0, 500_000), 0)
    .action(async (handles, options) => (await import("../commands/request-raise.ts")).requestPublic(handles, options))

  withRaiseOptions(request.command("user"))
    .description("Ask for the keys of 1 to 32 handles, readable by nobody but you.")
    .argument("<handle...>", "0x and 64 hex digits each")
    .requiredOption("--transport-file <file>", "new file for the secret that opens the result, written with mode 0600")
    .option("--account <address>", "whose permission is used (default: your own; otherwise it must have delegated to you)")
    .action(async (handles, options) => (await import("../commands/request-raise.ts")).requestUser(handles, options))

  withCommonOptions(withChainOptions(request.command("open")))
    .description("Fetch the result of a user request and open it.")
    .argument("<id>", "the request: 0x and 64 hex digits")
    .requiredOption("--transport-file <file>", "what `request user` has written")
    .addOption(storeOption())
    .option("--value-file <file>", "write the value there (new file, mode 0600) instead of showing it")
    .option("--timeout <seconds>", "wait this long for the result", waitSeconds, 10)
    .action(async (id, options) => (await import("../commands/request-open.ts")).requestOpen(id, options))

  withCommonOptions(withChainOptions(request.command("watch")))
    .description("Follow a request to its end: from the ledger, or without a database from the chain. Ends with 0 when it was finalized.")
    .argument("<id>", "the request: 0x and 64 hex digits")
    .option("--timeout <seconds>", "give up after this long", waitSeconds, DAY_SECONDS)
    .action(async (id, options) => (await import("../commands/request-watch.ts")).requestWatch(id, options))

  withCommonOptions(request.command("show"))
    .description("Show everything the ledger knows about a request, with the evidence of every transition, and verify its hash chain.")
    .argument("<id>", "the request: 0x and 64 hex digits")
    .action(async (id, options) => (await import("../commands/request-show.ts")).requestShow(id, options))

  withCommonOptions(request.command("list"))
    .description("List requests, newest first, and count them by state.")
    .addOption(new Option("--state <state>", "only those that stand in this state").choices([...JOURNEY, ...ENDS]))
    .option("--limit <n>", "at most this many", whole(1, 1_000), 20)
    .action(async (options) => (await import("../commands/request-list.ts")).requestList(options))

  withCommonOptions(request.command("cancel"))
    .description("Tell the gateways not to answer a request. Recorded for ever with your user name.")
    .argument("<id>", "the request: 0x and 64 hex digits")
    .requiredOption("--why <text>", "why, in one line", reason)
    .action(async (id, options) => (await import("../commands/request-cancel.ts")).requestCancel(id, options))

  withCommonOptions(request.command("redrive"))
    .description("Send a request that halted on its way again, once its cause is mended. Recorded for ever with your user name.")
    .argument("<id>", "the request: 0x and 64 hex digits")
    .requiredOption("--why <text>", "what was mended, in one line", reason)
    .action(async (id, options) => (await import("../commands/request-redrive.ts")).requestRedrive(id, options))
}

const withRaiseOptions = (command: Command): Command =>
  withCommonOptions(withChainOptions(command))
    .addOption(keyFileOption())
    .option("--deadline <seconds>", "answer within this long", whole(1, 7 * DAY_SECONDS), 600)
    .option("--wait", "wait for the result")
    .option("--timeout <seconds>", "with --wait: give up after this long", waitSeconds, 120)
