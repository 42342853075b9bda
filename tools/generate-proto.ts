/**
 * Run by: `npm run generate`. Writes the TypeScript of every file in proto/ to src/adapters/kms-node/generated, with buf and
 * ts-proto from node_modules; needs no network. `--check`: changes nothing, exits 1 when what stands there differs from what
 * would be written.
 */
import { spawnSync } from "node:child_process"
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const target = join(root, "src/adapters/kms-node/generated")

/** Literals instead of enums (type stripping refuses enums), bigint for 64 bits, `.ts` imports, services for @grpc/grpc-js. */
const TS_PROTO_OPTIONS = [
  "outputServices=grpc-js",
  "importSuffix=.ts",
  "forceLong=bigint",
  "enumsAsLiterals=true",
  "stringEnums=false",
  "esModuleInterop=true",
  "outputJsonMethods=false",
  "outputPartialMethods=false",
  "useExactTypes=false",
  "useOptionals=none",
  "env=node",
  "removeEnumPrefix=true",
  "unrecognizedEnum=false"
]

const generate = (into: string): void => {
  const template = {
    version: "v2",
    plugins: [{ local: join(root, "node_modules/.bin/protoc-gen-ts_proto"), out: into, opt: TS_PROTO_OPTIONS }]
  }
  const buf = join(root, "node_modules/@bufbuild/buf-linux-x64/bin/buf")
  const run = spawnSync(buf, ["generate", "proto", "--template", JSON.stringify(template)], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}` }
  })
  if (run.status !== 0) {
    console.error(run.error?.message ?? run.stderr)
    process.exit(1)
  }
  for (const file of globSync("**/*.ts", { cwd: into })) {
    const path = join(into, file)
    writeFileSync(path, `// Written by tools/generate-proto.ts from proto/. Do not edit.\n${readFileSync(path, "utf8")}`)
  }
}

const contents = (folder: string): ReadonlyMap<string, string> =>
  new Map(
    globSync("**/*.ts", { cwd: folder })
      .toSorted()
      .map((file) => [file, readFileSync(join(folder, file), "utf8")])
  )

const fresh = mkdtempSync(join(tmpdir(), "portcullis-proto-"))
try {
  generate(fresh)
  if (process.argv.includes("--check")) {
    const [wanted, present] = [contents(fresh), contents(target)]
    const stale = [...new Set([...wanted.keys(), ...present.keys()])].filter((file) => wanted.get(file) !== present.get(file))
    if (stale.length > 0) {
      console.error(`stale, run "npm run generate": ${stale.join(", ")}`)
      process.exitCode = 1
    }
  } else {
    rmSync(target, { recursive: true, force: true })
    cpSync(fresh, target, { recursive: true })
  }
} finally {
  rmSync(fresh, { recursive: true, force: true })
}
