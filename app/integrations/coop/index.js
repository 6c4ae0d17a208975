/**
 * Integration for ROOST Coop: two signals about the video of an item.
 *
 * The default export is a CoopIntegrationPlugin of @roostorg/types: a manifest, and createSignals(context). Each signal
 * submits the URL of the video and waits for the job. Both signals of an item share one job through an Idempotency-Key.
 */

import { createHash } from 'node:crypto';

const ID = 'UNMASK';
const PROBABILITY = 'UNMASK_PROBABILITY';
const FLAGGED = 'UNMASK_FLAGGED';
const WAIT_SECONDS = 30;
const ATTEMPTS = 3;
const SHARED_MILLISECONDS = 10 * 60 * 1000; // signals of an item share a job, even a failed one, for so long
const TIMEOUT_MILLISECONDS = 15 * 60 * 1000;

const DOCS = 'See the model card and docs/reference/results.md of Unmask.';

function section(id, title, value) {
  return { id, title, fields: [{ label: 'Summary', value: `${value} ${DOCS}` }] };
}

const manifest = {
  id: ID,
  name: 'Unmask',
  version: '0.1.0',
  description: 'Detects face manipulation in videos. Runs on your own machines.',
  docsUrl: null,
  requiresConfig: true,
  configurationFields: [
    {
      key: 'url',
      label: 'URL of the API',
      required: true,
      inputType: 'text',
      placeholder: 'https://unmask.example.com',
      description: 'Base URL of your Unmask API.',
    },
    {
      key: 'apiKey',
      label: 'API key',
      required: true,
      inputType: 'text',
      placeholder: 'umk_...',
      description: 'Created by "unmask keys create" with the scopes jobs:read and jobs:write.',
    },
    {
      key: 'policy',
      label: 'Policy',
      required: false,
      inputType: 'text',
      placeholder: 'default',
      description: 'Turns the probability into a verdict and an action; see POST /v1/policies.',
    },
  ],
  signalTypeIds: [PROBABILITY, FLAGGED],
  modelCard: {
    modelName: 'Unmask',
    version: '0.1.0',
    sections: [
      section('trainingData', 'Training data', 'Face swaps and reenactments of public research sets, and self-blended faces.'),
      section('policyAndTaxonomy', 'Policy and taxonomy', 'One question: is a face in the video manipulated?'),
      section('annotationMethodology', 'Annotation', 'Labels are those of the data sets.'),
      section('performanceBenchmarks', 'Benchmarks', 'Measured on people and data sets that were not trained on.'),
      section('biasAndLimitations', 'Limitations', 'It misses many fakes of kinds that it has not seen; "authentic" is no proof.'),
      section('implementationGuidance', 'Use', 'Route flagged items to moderators. Do not block by this signal alone.'),
      section('relevantLinks', 'Links', 'Your installation has its reference at /docs.'),
    ],
  },
};

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** Sends a request and returns the body of the response. Repeats it after retryable errors until `end`. */
async function ask(config, end, method, path, { body, headers = {} } = {}) {
  for (;;) {
    const response = await fetch(new URL(path, config.url), {
      method,
      headers: { Authorization: `Bearer ${config.apiKey}`, 'Content-Type': 'application/json', ...headers },
      body: body && JSON.stringify(body),
    });
    const answer = await response.json();
    if (response.ok || answer.code === 'gone_deleted') {
      return answer;
    }
    const seconds = Number(response.headers.get('Retry-After') ?? 1);
    if (!answer.retryable || Date.now() + 1000 * seconds > end) {
      throw new Error(`Unmask: ${answer.code}: ${answer.detail}`);
    }
    await pause(seconds);
  }
}

/** Returns the job of an item. Signals that run within SHARED_MILLISECONDS share it; a deleted job is replaced. */
async function findJob(config, end, input, url) {
  const options = { external_id: input.contentId ?? null, policy: config.policy || null };
  const item = [input.orgId, input.contentId, config.policy, url, Math.floor(Date.now() / SHARED_MILLISECONDS)];
  let job;
  for (let attempt = 0; attempt < ATTEMPTS && (!job || job.code === 'gone_deleted'); attempt += 1) {
    const key = createHash('sha256').update([...item, attempt].join('\n')).digest('hex');
    job = await ask(config, end, 'POST', '/v1/jobs', {
      body: { source: { url }, options },
      headers: { 'Idempotency-Key': key, Prefer: `wait=${WAIT_SECONDS}` },
    });
  }
  while (job.finished_at === null && Date.now() < end) {
    job = await ask(config, end, 'GET', `${job.links.self}?wait=${WAIT_SECONDS}`);
  }
  return job;
}

/** Returns the succeeded job of an item with a verdict. Throws if there is none. */
async function analyze(config, input) {
  const url = input.value?.value?.url;
  if (typeof url !== 'string') {
    throw new Error('Unmask: the item has no video with a URL.');
  }
  const job = await findJob(config, Date.now() + TIMEOUT_MILLISECONDS, input, url);
  if (job.status !== 'succeeded') {
    throw new Error(`Unmask: the job is ${job.status}. ${job.failure?.message ?? job.detail ?? ''}`);
  }
  if (job.verdict === 'NOT_EVALUATED') {
    throw new Error(`Unmask: not evaluated. ${job.result.reasons.map((reason) => reason.detail).join(' ')}`);
  }
  return job;
}

function createSignal(context, type, displayName, description, scalarType, read) {
  const outputType = { scalarType };
  const isConfigured = (config) => Boolean(config?.url && config?.apiKey);
  return {
    id: { type },
    displayName,
    description,
    docsUrl: null,
    recommendedThresholds: null,
    supportedLanguages: 'ALL',
    pricingStructure: { type: 'FREE' },
    eligibleInputs: ['VIDEO'],
    outputType,
    getCost: () => 1000, // decodes a video, so Coop should evaluate cheaper signals first
    needsMatchingValues: false,
    eligibleSubcategories: [],
    needsActionPenalties: false,
    integration: context.integrationId,
    allowedInAutomatedRules: true,
    async run(input) {
      const config = await context.getCredential(input.orgId);
      if (!isConfigured(config)) {
        throw new Error('Unmask: set the URL and the API key in the settings of the integration.');
      }
      return { outputType, score: read(await analyze(config, input)) };
    },
    async getDisabledInfo(orgId) {
      return isConfigured(await context.getCredential(orgId))
        ? { disabled: false }
        : { disabled: true, disabledMessage: 'Set the URL and the API key of Unmask in the settings of the organisation.' };
    },
  };
}

function createSignals(context) {
  const probability = createSignal(
    context,
    PROBABILITY,
    'Unmask: probability of a manipulated face',
    'Calibrated probability, 0 to 1, of the most suspicious person in the video.',
    'NUMBER',
    (job) => job.result.probability,
  );
  const flagged = createSignal(
    context,
    FLAGGED,
    'Unmask: flagged by the policy',
    'True if the policy of Unmask recommends to review or block the video.',
    'BOOLEAN',
    (job) => ['review', 'block'].includes(job.recommended_action),
  );
  return [
    { signalTypeId: PROBABILITY, signal: probability },
    { signalTypeId: FLAGGED, signal: flagged },
  ];
}

export { createSignals, manifest };
export default { manifest, createSignals };
