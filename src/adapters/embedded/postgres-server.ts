/**
 * A real PostgreSQL server of our own: initialised, started, supervised and stopped with a scope. It must never touch a server
 * that it did not start: the data directory is its own, the port or socket is free or its own, and signals go to the child it
 * spawned.
 */
import { Effect, type Scope } from "effect"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import pg from "pg"
import { findBinaries, findRunAs, handOver, PostgresServerFailed, PROGRAM_ENVIRONMENT, type RunAs } from "./postgres-binaries.ts"

export interface PostgresServerOptions {
  /** Directory with `initdb` and `postgres`; the npm package's by default. */
  readonly binaries?: string
  /** Kept between runs. Without it: a temporary directory that is removed with the scope. */
  readonly directory?: string
  /**
   * `socket` (default): a Unix socket in a private folder (mode 0700), which is the permission. `tcp`: a loopback address (127.0.0.1)
   * on the given or a free port, with SCRAM and a random password kept beside the data.
   */
  readonly listen?: "socket" | { readonly tcpPort: number | "free"; readonly host?: string }
  /** Further settings of the server, e.g. `{ shared_buffers: "64MB" }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** How long a start may take, crash recovery included. */
  readonly startMsMax?: number
}

/** Everything `pg` needs to connect. `password` is absent on the private socket. */
export interface PostgresAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly password?: string
}

export interface PostgresServer {
  readonly address: PostgresAddress
  /** E.g. 18.4. */
  readonly version: string
  /** Where the server writes its log. */
  readonly logFile: string
  readonly isRunning: () => boolean
  /** `fast` ends sessions and writes a checkpoint; `immediate` stops like a crash, and the next start recovers from the log. */
  readonly stop: (mode: "fast" | "immediate") => Effect.Effect<void, PostgresServerFailed>
  /** SIGKILL: nothing is tidied up. */
  readonly kill: Effect.Effect<void, PostgresServerFailed>
  /** Starts it again after `stop` or `kill`, on the same address. */
  readonly start: Effect.Effect<void, PostgresServerFailed>
}

const USER = "portcullis"
const LOOPBACK = "127.0.0.1"
const DATABASE = "postgres"
/** A socket's file name carries a port; nothing listens on it. */
const SOCKET_PORT = 5432
const START_MS_MAX = 30_000
const STOP_MS_MAX = 20_000
const LOG_TAIL_BYTES = 4_096
const run = promisify(execFile)

const failed = (doing: string, advice: string, log: string) => new PostgresServerFailed({ doing, advice, log })

const attempt = <A>(doing: string, advice: string, work: () => Promise<A>): Effect.Effect<A, PostgresServerFailed> =>
  Effect.tryPromise({ try: work, catch: (cause) => failed(doing, advice, String(cause)) })

const tailOf = async (file: string): Promise<string> => {
  const text = await readFile(file, "utf8").catch(() => "")
  return text.slice(-LOG_TAIL_BYTES)
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once("error", reject)
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))))
    })
  })

const isMissing = (path: string): Promise<boolean> => stat(path).then(() => false, () => true)

const commandLine = (as: RunAs, program: string, args: ReadonlyArray<string>): [string, Array<string>] => {
  const [command = program, ...rest] = [...as.prefix, program, ...args]
  return [command, rest]
}

/** `initdb` beside the final place and a rename, so that a crash never leaves half a directory behind. */
const initialise = async (binaries: string, as: RunAs, root: string, password: string): Promise<void> => {
  const data = join(root, "data")
  if (!(await isMissing(join(data, "PG_VERSION")))) return
  const fresh = join(root, "data.new")
  const passwordFile = join(root, "password.initdb")
  await rm(fresh, { recursive: true, force: true })
  await writeFile(passwordFile, password, { mode: 0o600 })
  await handOver(passwordFile, as)
  try {
    const [command, args] = commandLine(as, join(binaries, "initdb"), [
      ...["--pgdata", fresh, "--username", USER, "--pwfile", passwordFile],
      ...["--encoding", "UTF8", "--locale", "C", "--data-checksums"],
      ...["--auth-local", "trust", "--auth-host", "scram-sha-256"]
    ])
    await run(command, args, { env: PROGRAM_ENVIRONMENT, cwd: root, timeout: START_MS_MAX })
  } finally {
    await rm(passwordFile, { force: true })
  }
  await rename(fresh, data)
}

/** The password is made once for a directory: a later start must know it too. */
const passwordOf = async (root: string): Promise<string> => {
  const file = join(root, "password")
  if (await isMissing(file)) await writeFile(file, randomBytes(24).toString("base64url"), { mode: 0o600 })
  return readFile(file, "utf8")
}

const checkVersion = (binaries: string, as: RunAs, root: string): Effect.Effect<string, PostgresServerFailed> =>
  Effect.gen(function*() {
    const [command, args] = commandLine(as, join(binaries, "postgres"), ["--version"])
    const { stdout } = yield* attempt("postgres --version failed", "Look at the message below", () =>
      run(command, args, { env: PROGRAM_ENVIRONMENT })
    )
    const version = /\d+(?:\.\d+)?/.exec(stdout)?.[0] ?? "0"
    const kept = (yield* Effect.promise(() => readFile(join(root, "data", "PG_VERSION"), "utf8").catch(() => version))).trim()
    if (kept.split(".")[0] !== version.split(".")[0]) {
      return yield* failed(
        `The data in ${root} belongs to PostgreSQL ${kept}, and this is ${version}`,
        "Name the programs of the old version (PG_BIN), or move the directory away to start with an empty database",
        ""
      )
    }
    return version
  })

const canConnect = async (address: PostgresAddress): Promise<boolean> => {
  const client = new pg.Client({ ...address, connectionTimeoutMillis: 2_000, query_timeout: 2_000, ssl: false })
  client.on("error", () => undefined)
  try {
    await client.connect()
    await client.query("select 1")
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}

const exited = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const untilExited = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (exited(child)) return resume(Effect.void)
    const onExit = () => resume(Effect.void)
    child.once("exit", onExit)
    return Effect.sync(() => child.off("exit", onExit))
  })

/** Starts PostgreSQL and stops it when the scope closes. Typed failures say what to do about them. */
export const startPostgres = (
  options: PostgresServerOptions = {}
): Effect.Effect<PostgresServer, PostgresServerFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const binaries = yield* findBinaries(options.binaries)
    const as = yield* findRunAs(binaries)
    const root = yield* directoryFor(options.directory, as)
    const sockets = yield* temporaryDirectory("pg-", as)
    const password = yield* attempt(`Cannot write in ${root}`, "Make the directory writable", () => passwordOf(root))
    yield* attempt(
      `initdb failed in ${root}`,
      "Check free disk space and that the directory belongs to you, or remove it if it holds nothing you need",
      () => initialise(binaries, as, root, password)
    )
    const version = yield* checkVersion(binaries, as, root)
    const startMsMax = options.startMsMax ?? START_MS_MAX
    const listen = options.listen ?? "socket"
    const port =
      listen === "socket"
        ? SOCKET_PORT
        : listen.tcpPort === "free"
          ? yield* attempt("No free TCP port", "Name one", freePort)
          : listen.tcpPort
    const address: PostgresAddress =
      listen === "socket"
        ? { host: sockets, port, user: USER, database: DATABASE }
        : { host: listen.host ?? LOOPBACK, port, user: USER, database: DATABASE, password }
    const settings: Record<string, string> = {
      listen_addresses: listen === "socket" ? "" : (listen.host ?? LOOPBACK),
      port: String(port),
      unix_socket_directories: sockets,
      unix_socket_permissions: "0700",
      lc_messages: "C",
      timezone: "UTC",
      log_timezone: "UTC",
      autovacuum_naptime: "10s", // wake-ups and messages come and go all the time
      ...options.settings
    }
    const logFile = join(root, "server.log")
    const args = ["-D", join(root, "data"), ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])]
    const [command, rest] = commandLine(as, join(binaries, "postgres"), args)
    let child: ChildProcess | undefined

    const isRunning = () => child !== undefined && !exited(child)

    /** Its own session, so that Ctrl-C in a terminal reaches us and not the server. */
    const launch = Effect.promise(async () => {
      const log = await open(logFile, "a", 0o600)
      try {
        const spawned = spawn(command, rest, {
          cwd: root,
          env: PROGRAM_ENVIRONMENT,
          stdio: ["ignore", log.fd, log.fd],
          detached: true
        })
        spawned.on("error", () => undefined)
        child = spawned
        return spawned
      } finally {
        await log.close()
      }
    })

    /** After SIGKILL the old postmaster.pid may still name a process that is dying: the launch is repeated until it is gone. */
    const start: Effect.Effect<void, PostgresServerFailed> = Effect.gen(function*() {
      if (isRunning()) return
      let launched = yield* launch
      while (!(yield* Effect.promise(() => canConnect(address)))) {
        yield* Effect.sleep("25 millis")
        if (!exited(launched)) continue
        yield* Effect.sleep("200 millis")
        launched = yield* launch
      }
    }).pipe(
      Effect.timeoutOrElse({
        duration: startMsMax,
        orElse: () =>
          Effect.promise(() => tailOf(logFile)).pipe(
            Effect.flatMap((log) =>
              failed(
                `PostgreSQL ${version} did not start in ${startMsMax / 1_000} s`,
                `Another server may still use ${root} (see data/postmaster.pid there) or the port; stop it, or choose ` +
                  "another directory",
                log
              )
            )
          )
      })
    )

    const signal = (name: "SIGINT" | "SIGQUIT" | "SIGKILL"): Effect.Effect<void, PostgresServerFailed> =>
      Effect.gen(function*() {
        const running = child
        if (running === undefined || exited(running)) return
        running.kill(name)
        yield* untilExited(running).pipe(
          Effect.timeoutOrElse({
            duration: STOP_MS_MAX,
            orElse: () =>
              failed(
                `PostgreSQL (process ${running.pid}) did not stop on ${name} in ${STOP_MS_MAX / 1_000} s`,
                "It will be killed when the program ends; committed data is safe",
                ""
              )
          })
        )
      })

    yield* Effect.addFinalizer(() =>
      signal("SIGINT").pipe(
        Effect.catch(() => signal("SIGKILL")),
        Effect.ignore
      )
    )
    yield* start
    return {
      address,
      version,
      logFile,
      isRunning,
      stop: (mode) => signal(mode === "fast" ? "SIGINT" : "SIGQUIT"),
      kill: signal("SIGKILL"),
      start
    }
  })

/** Private (0700), and removed with the scope. Its path is short, because a socket's path may have 107 bytes only. */
const temporaryDirectory = (name: string, as: RunAs): Effect.Effect<string, PostgresServerFailed, Scope.Scope> =>
  Effect.acquireRelease(
    attempt("No temporary directory", "Make the system's temporary directory writable", async () => {
      const path = await mkdtemp(join(tmpdir(), `portcullis-${name}`))
      await handOver(path, as)
      return path
    }),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )

const directoryFor = (given: string | undefined, as: RunAs): Effect.Effect<string, PostgresServerFailed, Scope.Scope> =>
  given === undefined
    ? temporaryDirectory("data-", as)
    : attempt(`Cannot make ${given}`, "Choose a directory that you may write in", async () => {
        await mkdir(given, { recursive: true, mode: 0o700 })
        await handOver(given, as)
        return given
      })
