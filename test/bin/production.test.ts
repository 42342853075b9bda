/** What a node that was told it is in production does not do, whichever end of the channel it is. */
import { describe, expect, test } from "vitest"
import { gatewayFromSettings } from "../../bin/gateway-from-settings.ts"
import { kmsNodeFromSettings } from "../../bin/kms-node.ts"

/** No file that these name exists: what is wrong with the files is said beside it. */
const SETTINGS = {
  PORTCULLIS_DATABASE_URL_FILE: "/nowhere/database-url",
  PORTCULLIS_KEY_ENCRYPTION_KEY_FILE: "/nowhere/key",
  PORTCULLIS_RPC_URL: "http://127.0.0.1:1",
  PORTCULLIS_DEPLOYMENT_FILE: "/nowhere/deployment.json",
  PORTCULLIS_STORES: "main=/nowhere",
  PORTCULLIS_CACHE_DIR: "/nowhere",
  PORTCULLIS_KMS_DIR: "/nowhere",
  PORTCULLIS_KMS_KEY_FILE: "/nowhere/key",
  PORTCULLIS_KMS_ANSWER_LOG: "/nowhere/answers",
  PORTCULLIS_KMS_INSECURE: "yes"
}

const READERS = {
  gateway: (environment: Readonly<Record<string, string>>) => gatewayFromSettings(environment, undefined, undefined),
  "KMS node": (environment: Readonly<Record<string, string>>) => kmsNodeFromSettings(environment, undefined, undefined)
}

describe.each(Object.entries(READERS))("a %s", (_, read) => {
  const problemsIn = (environment: Readonly<Record<string, string>>) => {
    const settings = read(environment)
    return "_tag" in settings ? settings.problems : []
  }

  test("does not talk plain text in production", () => {
    const problems = problemsIn({ ...SETTINGS, PORTCULLIS_PRODUCTION: "yes" })
    expect(problems).toContain("PORTCULLIS_KMS_INSECURE cannot be `yes` together with PORTCULLIS_PRODUCTION")
  })

  test("talks plain text where somebody asked for it", () => {
    expect(problemsIn(SETTINGS).join()).not.toContain("PORTCULLIS_KMS_INSECURE")
  })
})
