#!/usr/bin/env node
// The first file that runs, on whatever Node the host has: hands over to the Node 24 from npm, or says what to do.
// Plain old JavaScript, so that an old Node can read it; nothing else belongs here.
var NODE_MAJOR_MIN = 24

if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) {
  delete process.env.PORTCULLIS_RESTARTED_ON_NEWER_NODE
  import("./portcullis.ts").catch(function (error) {
    console.error(error)
    process.exit(1)
  })
} else {
  import("./run-on-newer-node.js").then(function (newer) {
    newer.runOnNewerNode(NODE_MAJOR_MIN)
  })
}
