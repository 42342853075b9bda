/** The settings of a development world as a file, so that every command can be tried on it from another terminal: `--settings <file>`. */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { HDNodeWallet, Mnemonic } from "ethers"
import { ANVIL_MNEMONIC } from "../src/adapters/embedded/anvil.ts"
import type { World } from "./dev-world.ts"

/** Deployed the contracts and has had nothing to do since: its nonces are free for whoever tries the commands. */
const IDLE_ACCOUNT = "m/44'/60'/0'/0/0"

/** Answers the file's path; it goes with the world's directory. */
export const writeDevSettings = async (world: World): Promise<string> => {
  const [file, keyFile] = [join(world.directory, "settings.env"), join(world.directory, "account-key")]
  const { privateKey } = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(ANVIL_MNEMONIC), IDLE_ACCOUNT)
  await writeFile(keyFile, `${privateKey}\n`, { mode: 0o600 })
  const settings = {
    ...world.environment,
    PORTCULLIS_ACL_FINALITY: "latest",
    PORTCULLIS_RESULT_FINALITY: "confirmations:1",
    PORTCULLIS_ACCOUNT_KEY_FILE: keyFile
  }
  await writeFile(file, Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join(""))
  return file
}
