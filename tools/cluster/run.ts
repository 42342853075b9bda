/** `npm run cluster`: the three-node cluster of docker-compose.yml on this machine, as processes. Ctrl-C stops everything; what it wrote stays
 * in the directory that it names; with --directory the next run goes on from there. */
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { anyNetwork } from "./as-processes.ts"
import { LocalCluster, plansAsWritten } from "./local-cluster.ts"

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const usage = `npm run cluster -- [--directory <where volumes and logs are kept>]`

const main = async (): Promise<number> => {
  let directory: string | undefined
  try {
    ;({ directory } = parseArgs({ options: { directory: { type: "string" } } }).values)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nusage: ${usage}\n`)
    return 2
  }
  const started = Date.now()
  const since = (): string => `${((Date.now() - started) / 1_000).toFixed(1).padStart(6)} s`
  const where = directory ?? mkdtempSync(join(tmpdir(), "portcullis-cluster-"))
  const cluster = new LocalCluster({
    directory: where,
    plans: plansAsWritten(where, anyNetwork()),
    onReady: (name, at) => say(`${since()}  ${name.padEnd(10)}  ${at}${cluster.pid(name) === undefined ? "" : `  pid ${cluster.pid(name)}`}`),
    onMissing: (name, why) => say(`${since()}  ${name.padEnd(10)}  not started here: ${why}`)
  })
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve())
  })
  try {
    await Promise.race([cluster.up(), stopped])
    const settings = writeSettings(where, cluster)
    say("")
    say(`ready. In another terminal, with --settings ${settings}:`)
    say("  node bin/portcullis.js cluster status")
    say('  printf "my bid: 42" | node bin/portcullis.js encrypt --register --allow-public')
    say("  node bin/portcullis.js request public <handle> --wait")
    say(`Kill a node and watch another take over: kill -9 ${cluster.pid("gateway-1")}. Logs: ${join(where, "logs")}. Ctrl-C stops everything.`)
    await stopped
    return 0
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`)
    return 1
  } finally {
    say("stopping")
    await cluster.down()
  }
}

/** What an operator's and a dApp's commands need of this cluster. */
const writeSettings = (where: string, cluster: LocalCluster): string => {
  const file = join(where, "settings.env")
  const { environment } = cluster.plan("gateway-1")
  const settings = {
    ...environment,
    PORTCULLIS_ACCOUNT_KEY_FILE: join(where, "volumes", "world", "account-key")
  }
  writeFileSync(file, Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join(""), { mode: 0o600 })
  return file
}

process.exit(await main())
