/** Which tests run together. `architecture` needs nothing; `unit` needs no server; `system` starts real servers, one file at a time. */
import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

/** One file for each core. Vitest's own choice is one less, which on two cores is one file at a time while a core looks on. */
const maxWorkers = availableParallelism()

/** Laws that need no server: the ledger in memory is held to PostgreSQL's. */
const LAWS_IN_MEMORY = ["ledger-memory", "bus-simulated", "chain-simulated", "share-nodes-simulated", "ciphertext-store-simulated", "clock"].map((one) => `test/laws/${one}.test.ts`)
const SERVERS = ["contracts", "laws", "adapters", "client", "actors"].map((folder) => `test/${folder}/**/*.test.ts`)

export default defineConfig({
  test: {
    projects: [
      { test: { name: "architecture", include: ["test/architecture/**/*.test.ts"], maxWorkers, testTimeout: 30_000 } },
      {
        test: {
          name: "unit",
          include: ["test/!(architecture|system|contracts|laws|adapters|client|actors)/**/*.test.ts", ...LAWS_IN_MEMORY],
          maxWorkers,
          // Files share the modules of their worker, which are loaded once: they keep nothing there, and mock and stub nothing.
          isolate: false,
          testTimeout: 60_000
        }
      },
      {
        test: {
          name: "servers",
          include: SERVERS,
          exclude: LAWS_IN_MEMORY,
          maxWorkers,
          testTimeout: 120_000,
          hookTimeout: 120_000
        }
      },
      {
        test: {
          name: "system",
          include: ["test/system/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false
        }
      }
    ]
  }
})
