/** The `portcullis` command: what can be said to it, and nothing of how it is done. One file for each subcommand, none of which is loaded before
 * it is called. Wrong usage ends with 2, a failure with 1; see docs/cli.md. */
import { Command } from "commander"
import { addClientCommands } from "./arguments/client-commands.ts"
import { addOperatorCommands } from "./arguments/operator-commands.ts"
import { addServerCommands } from "./arguments/server-commands.ts"
import { withoutSecrets } from "./arguments/without-secrets.ts"
import { VERSION } from "./version.ts"

const program = new Command("portcullis")
  .description("A threshold-decryption gateway: from a contract's request to a verified, finalized decryption.")
  .version(VERSION)
  .showHelpAfterError("(add --help for what is possible)")
  .showSuggestionAfterError()
  .configureHelp({ showGlobalOptions: false })
  .configureOutput({ outputError: (text, write) => write(withoutSecrets(text)) })
  // Commander ends wrong usage with 1, which is how our failures end.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))

addServerCommands(program)
addClientCommands(program)
addOperatorCommands(program)

await program.parseAsync()
