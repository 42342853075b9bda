/** The rules of the house as data and pure functions over source files: each answers with the sentences of what is wrong, or
 * none. */
import { posix } from "node:path"
import { withoutComments, type SourceFile } from "./source-files.ts"

export type Rule = (files: ReadonlyArray<SourceFile>) => ReadonlyArray<string>

/** Who may import whom, type imports included; everybody may import from its own layer. The first prefix that fits is a file's
 * layer. */
export const MAY_IMPORT: ReadonlyArray<readonly [layer: string, allowed: ReadonlyArray<string>]> = [
  ["src/domain", []],
  ["src/threshold", ["src/domain"]],
  ["src/keys", ["src/domain"]],
  ["src/messaging", ["src/domain"]],
  ["src/ledger", ["src/domain"]],
  ["src/telemetry", ["src/domain"]],
  ["src/resilience", ["src/domain", "src/telemetry"]],
  ["src/journey", ["src/domain", "src/threshold"]],
  ["src/kms-node", ["src/domain", "src/threshold", "src/keys"]],
  ["src/client", ["src/domain", "src/threshold", "src/adapters/ethereum/generated"]],
  ["src/adapters", ["src"]],
  ["machines", ["src/domain"]],
  ["actors", ["machines", "src/domain", "src/messaging", "src/ledger", "src/journey", "src/telemetry", "src/resilience"]],
  ["bin", ["src", "machines", "actors"]],
  // These look at everything, and nothing else looks at them.
  ["test", [""]],
  ["chaos", [""]],
  ["bench", [""]],
  ["tools", [""]]
]

/** Where a package may be used; one that is not listed may be used anywhere. Tests, benches, chaos and tools may use all. */
export const PACKAGE_HOMES: Readonly<Record<string, ReadonlyArray<string>>> = {
  xstate: ["machines"],
  effect: ["src", "actors", "bin"],
  ethers: ["src/adapters/ethereum", "src/client", "bin"],
  kysely: ["src/adapters/postgres"],
  pg: ["src/adapters/postgres", "src/adapters/embedded"],
  "@nats-io/transport-node": ["src/adapters/nats"],
  "@nats-io/jetstream": ["src/adapters/nats"],
  "@grpc/grpc-js": ["src/adapters/kms-node"],
  "@bufbuild/protobuf": ["src/adapters/kms-node"],
  "mcl-wasm": ["src/adapters/worker-threads"],
  "prom-client": ["src/adapters/prometheus"],
  "@aws-sdk/client-kms": ["src/adapters"],
  commander: ["bin"],
  pino: ["src/adapters", "bin"]
}

/** What pure layers may use besides our own code. */
export const PACKAGES_OF: Readonly<Record<string, ReadonlyArray<string>>> = {
  machines: ["xstate", "node:assert/strict"],
  "src/domain": ["@noble/hashes", "effect", "node:assert/strict"],
  "src/threshold": ["@noble/curves", "@noble/hashes", "effect", "node:assert/strict", "node:crypto"]
}

/** Ports whose implementations live in adapters: from these folders an adapter takes ports and types, never a step to run. */
export const PORTS_ONLY: ReadonlyArray<string> = ["src/journey"]

export const LINES_MAX = 400
export const DUMPING_GROUNDS = ["utils", "util", "helpers", "helper", "common", "shared", "core", "misc"]

/** A suffix is a role, and a role has its place. */
export const SUFFIX_HOMES: Readonly<Record<string, { readonly homes: ReadonlyArray<string>; readonly must: RegExp }>> = {
  machine: { homes: ["machines"], must: /\.createMachine\(/ },
  actor: { homes: ["actors"], must: /export / },
  port: {
    homes: ["src/journey", "src/ledger", "src/messaging", "src/keys", "src/kms-node", "src/telemetry"],
    must: /Context\.Service</
  },
  layer: { homes: ["src/adapters"], must: /export const / },
  worker: { homes: ["src/adapters", "test"], must: /parentPort/ },
  laws: { homes: ["test"], must: /export const / },
  scenario: { homes: ["chaos"], must: /export / },
  test: { homes: ["test"], must: /from "vitest"|\.laws\.ts"/ }
}

/** Folders where time, chance, settings and the screen may be touched directly; everyone else is handed them. */
export const MAY_TOUCH_THE_WORLD = ["bin", "tools", "test", "chaos", "bench"]
export const WORLD = [
  /\bDate\.now\b/,
  /\bnew Date\(\)/,
  /\bMath\.random\b/,
  /(?<!\.)\bsetTimeout\b/,
  /(?<!\.)\bsetInterval\b/,
  /\bprocess\.env\b/,
  /\bconsole\./
]

const isUnder = (path: string, folder: string): boolean => folder === "" || path === folder || path.startsWith(`${folder}/`)
const isGenerated = (path: string): boolean => path.includes("/generated/")

/** The layer of a path, or undefined when no layer is meant to be there. */
export const layerOf = (path: string): string | undefined => MAY_IMPORT.find(([layer]) => isUnder(path, layer))?.[0]

const OBSERVERS = ["test", "chaos", "bench", "tools"]
const isObserver = (path: string): boolean => OBSERVERS.some((folder) => isUnder(path, folder))

export const everyFileHasALayer: Rule = (files) =>
  files.filter((file) => layerOf(file.path) === undefined).map((file) => `${file.path} is in no known layer`)

export const layersLookUpward: Rule = (files) =>
  files.flatMap(({ path, imports }) => {
    const [layer, allowed] = MAY_IMPORT.find(([candidate]) => isUnder(path, candidate)) ?? ["", []]
    return imports
      .filter(({ isOurs, to }) => isOurs && !isUnder(to, layer) && !allowed.some((folder) => isUnder(to, folder)))
      .map(({ to }) => `${path} may not import ${to}`)
  })

export const nobodyImportsObservers: Rule = (files) =>
  files
    .filter(({ path }) => !isObserver(path))
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ isOurs, to }) => isOurs && (isObserver(to) || /\/(memory|doubles)\//.test(to)))
        .map(({ to }) => `${path} imports ${to}: test doubles and tools are not part of the product`)
    )

export const adaptersTakeOnlyPorts: Rule = (files) =>
  files
    .filter(({ path }) => isUnder(path, "src/adapters"))
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ isOurs, isType }) => isOurs && !isType)
        .filter(({ to }) => !to.endsWith(".port.ts") && PORTS_ONLY.some((folder) => isUnder(to, folder)))
        .map(({ to }) => `${path} takes more than a port or a type from ${to}`)
    )

export const packagesStayHome: Rule = (files) =>
  files
    .filter(({ path }) => !isObserver(path) && !isGenerated(path))
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ isOurs }) => !isOurs)
        .flatMap(({ to }) => {
          const name = to.startsWith("node:") ? to : to.split("/").slice(0, to.startsWith("@") ? 2 : 1).join("/")
          const homes = PACKAGE_HOMES[name]
          const allowed = PACKAGES_OF[layerOf(path) ?? ""]
          if (allowed !== undefined && !allowed.includes(name)) return [`${path} may not use ${name}`]
          const isAway = homes !== undefined && !homes.some((home) => isUnder(path, home))
          return isAway ? [`${path} may not use ${name}: its home is ${homes.join(", ")}`] : []
        })
    )

/** A circle is found once, named from its alphabetically first file. */
export const noCircles: Rule = (files) => {
  const next = new Map(files.map(({ path, imports }) => [path, imports.filter(({ isOurs }) => isOurs).map(({ to }) => to)]))
  const circles = new Set<string>()
  const done = new Set<string>()
  const visit = (path: string, trail: ReadonlyArray<string>): void => {
    const seenAt = trail.indexOf(path)
    if (seenAt >= 0) {
      const circle = trail.slice(seenAt)
      const first = circle.indexOf(circle.toSorted()[0] ?? "")
      circles.add([...circle.slice(first), ...circle.slice(0, first), circle[first]].join(" -> "))
      return
    }
    if (done.has(path)) return
    for (const to of next.get(path) ?? []) visit(to, [...trail, path])
    done.add(path)
  }
  for (const { path } of files) visit(path, [])
  return [...circles]
}

export const noBarrels: Rule = (files) =>
  files
    .filter(({ path }) => !isGenerated(path))
    .flatMap(({ path, imports }) => [
      ...(path.endsWith("/index.ts") ? [`${path} is a barrel`] : []),
      ...imports.filter(({ isReExport }) => isReExport).map(({ to }) => `${path} re-exports ${to}`)
    ])

export const noDumpingGrounds: Rule = (files) =>
  files
    .filter(({ path }) => !isGenerated(path))
    .filter(({ path }) => path.split("/").some((part) => DUMPING_GROUNDS.includes(part.replace(/\..*$/, ""))))
    .map(({ path }) => `${path} is named for nothing: which noun is it about?`)

export const filesAreShort: Rule = (files) =>
  files
    .filter(({ path }) => !isGenerated(path))
    .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX)
    .map(({ path, lines }) => `${path} has ${lines} lines, at most ${LINES_MAX} are read with pleasure`)

export const suffixesAreRoles: Rule = (files) =>
  files
    .filter(({ path }) => !isGenerated(path))
    .flatMap(({ path, text }) => {
      const [stem = "", ...suffixes] = posix.basename(path, ".ts").split(".")
      const kebab = /^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem) ? [] : [`${path} is not in kebab-case`]
      const wrong = suffixes.flatMap((suffix) => {
        const role = SUFFIX_HOMES[suffix]
        if (role === undefined) return suffix === "d" ? [] : [`${path}: .${suffix} is not a role`]
        if (!role.homes.some((home) => isUnder(path, home))) return [`${path}: .${suffix} belongs in ${role.homes.join(", ")}`]
        return role.must.test(text) ? [] : [`${path} is called .${suffix} but has no ${role.must.source}`]
      })
      return [...kebab, ...wrong]
    })

export const theWorldIsHandedIn: Rule = (files) =>
  files
    .filter(({ path }) => !isGenerated(path) && !MAY_TOUCH_THE_WORLD.some((folder) => isUnder(path, folder)))
    .flatMap(({ path, text }) => {
      const bare = withoutComments(text)
      return WORLD.filter((banned) => banned.test(bare)).map((banned) => `${path} touches ${banned.source}`)
    })

/** Spelled with a class, so that this file may be checked too. */
const PROMISES = /\b(?:TO[D]O|FIX[M]E|XX[X])\b/

export const nothingIsPostponed: Rule = (files) =>
  files
    .filter(({ path, text }) => !isGenerated(path) && PROMISES.test(text))
    .map(({ path }) => `${path} postpones work in a comment`)

export const errorsAreTyped: Rule = (files) =>
  files
    .filter(({ path, text }) => !isGenerated(path) && !isObserver(path) && /\bthrow new Error\(/.test(withoutComments(text)))
    .map(({ path }) => `${path} throws an error that says nothing about what must happen next`)

/** The first line says what a file is for; a test says it in its sentences. */
export const filesSayWhatTheyAreFor: Rule = (files) =>
  files
    .filter(({ path, text }) => !isGenerated(path) && !path.endsWith(".test.ts") && !/^(#!.*\n)?\/(\*\*|\/)/.test(text))
    .map(({ path }) => `${path} does not begin by saying what it is for`)

export const generatedFilesSayFromWhat: Rule = (files) =>
  files
    .filter(({ path, text }) => isGenerated(path) && !/tools\/[a-z-]+\.ts/.test(text.split("\n")[0] ?? ""))
    .map(({ path }) => `${path} does not name its generator in line 1`)
