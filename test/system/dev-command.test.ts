/** What a newcomer types first. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, test } from "vitest"

const CLI = fileURLToPath(new URL("../../bin/portcullis.js", import.meta.url))

describe("portcullis dev", () => {
  let child: ReturnType<typeof start> | undefined
  afterEach(async () => {
    if (child !== undefined && child.exitCode === null && child.kill("SIGTERM")) await once(child, "exit")
  })

  const start = (...flags: ReadonlyArray<string>) =>
    spawn(process.execPath, [CLI, "dev", ...flags], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } })

  test("raises requests of every kind, judges every end and every plaintext, and says so in one line of JSON", async () => {
    child = start("--requests", "2", "--exit", "--json")
    const lines: Array<string> = []
    createInterface({ input: child.stdout! }).on("line", (line) => lines.push(line))
    const [code] = await once(child, "exit")
    expect(lines).toHaveLength(1)
    const verdict = JSON.parse(lines[0] ?? "") as { readonly latencyMs: { readonly p50: number } }
    expect(verdict).toMatchObject({
      requests: { finalized: 4, refused: 1, expired: 1, orphaned: 0, cancelled: 0, halted: 0 },
      plaintextsCorrect: true,
      open: 0,
      unexpected: []
    })
    expect(verdict.latencyMs.p50).toBeGreaterThan(0)
    expect(code).toBe(0)
  })

  test("shows a request in all six states, says where to look, and ends with 0 on Ctrl-C", async () => {
    child = start()
    const seen: Array<string> = []
    const finalized = new Promise<void>((resolve) => {
      createInterface({ input: child!.stdout! }).on("line", (line) => {
        seen.push(line)
        if (line.includes("finalized")) resolve()
      })
    })
    await finalized
    for (const state of ["detected", "acl-checked", "ciphertext-fetched", "shares-collected", "threshold-verified", "submitted"]) {
      expect(seen.some((line) => line.includes(state))).toBe(true)
    }
    expect(seen.join("\n")).toMatch(/http:\/\/127\.0\.0\.1:\d+\/health and http:\/\/127\.0\.0\.1:\d+\/metrics/)
    child.kill("SIGINT")
    const [code] = await once(child, "exit")
    expect(code).toBe(0)
  })
})
