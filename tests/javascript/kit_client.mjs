// Drives fhir-kit-client through what an integration does with it: node kit_client.mjs BASE < ECG.json
//
// Prints one JSON object of what came back; the test that runs this compares it.
import { readFileSync } from "node:fs";
import { Client } from "fhir-kit-client";

const baseUrl = process.argv[2];
const ecg = JSON.parse(readFileSync(0, "utf8"));
const client = new Client({ baseUrl });
const identifier = `${ecg.identifier[0].system}|${ecg.identifier[0].value}`;
const told = {};

async function statusOf(promise) {
  try {
    return Client.httpFor(await promise).response.status;
  } catch (error) {
    return error.response.status;
  }
}

async function until(ask, done) {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const answer = await ask();
    if (done(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error("not within a minute");
}

told.fhirVersion = (await client.capabilityStatement()).fhirVersion;

const once = { headers: { "If-None-Exist": `identifier=${identifier}` } };
const created = await client.create({ resourceType: "Observation", body: ecg, options: once });
const again = client.create({ resourceType: "Observation", body: ecg, options: once });
told.createdStatus = Client.httpFor(created).response.status;
told.createdAgainStatus = await statusOf(again);
told.createdAgainId = (await again).id === created.id;

const read = await client.read({ resourceType: "Observation", id: created.id });
told.readEqual = JSON.stringify(read.component) === JSON.stringify(ecg.component);
told.vread = (await client.vread({ resourceType: "Observation", id: created.id, version: "1" })).meta.versionId;
told.missing = await statusOf(client.read({ resourceType: "Observation", id: "none" }));
told.history = (await client.history({ resourceType: "Observation", id: created.id })).type;

const bundle = await until(
  () => client.search({ resourceType: "DiagnosticReport", searchParams: { "result.identifier": identifier } }),
  (found) => found.entry?.[0].resource.status === "partial",
);
const report = bundle.entry[0].resource;
told.report = report.status;
told.resolved = (await client.resolve({ reference: report.result[0].reference })).id === created.id;

for (let number = 0; number < 4; number += 1) {
  const other = { ...ecg, identifier: [{ ...ecg.identifier[0], value: `${ecg.identifier[0].value}-${number}` }] };
  await client.create({ resourceType: "Observation", body: other });
}
// A report that changes while its reader turns the pages moves to the first of them.
await until(
  () => client.search({ resourceType: "DiagnosticReport", searchParams: { subject: ecg.subject.reference } }),
  (found) => found.entry.every((entry) => entry.resource.status === "partial"),
);
const searchParams = { subject: ecg.subject.reference, _count: 2 };
const ids = new Set();
let page = await client.search({ resourceType: "DiagnosticReport", searchParams });
told.pages = 0;
while (page) {
  told.pages += 1;
  for (const entry of page.entry) ids.add(entry.resource.id);
  page = await client.nextPage({ bundle: page });
}
told.found = ids.size;
const options = { postSearch: true };
told.foundByPost = (await client.search({ resourceType: "DiagnosticReport", searchParams, options })).total;

const kickOff = await client.request("DiagnosticReport/$export", {
  options: { headers: { Prefer: "respond-async", Accept: "application/fhir+json" } },
});
const { response } = Client.httpFor(kickOff);
told.exportStatus = response.status;
const status = response.headers.get("content-location");
const manifest = await until(
  () => client.request(status),
  (answer) => Client.httpFor(answer).response.status === 200,
);
told.exportTypes = [...new Set(manifest.output.map((file) => file.type))];
const exported = new Set();
for (const file of manifest.output) {
  const lines = await (await fetch(file.url, { headers: { Accept: "application/fhir+ndjson" } })).text();
  for (const line of lines.trim().split("\n")) exported.add(JSON.parse(line).id);
}
told.exportHasReports = [...ids].every((id) => exported.has(id));

const readLater = client.request("Observation", {
  method: "POST",
  body: { ...ecg, identifier: [{ ...ecg.identifier[0], value: `${ecg.identifier[0].value}-later` }] },
  options: { headers: { Prefer: "respond-async", "Content-Type": "application/fhir+json" } },
});
told.asyncStatus = await statusOf(readLater);

console.log(JSON.stringify(told));
