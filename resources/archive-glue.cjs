/**
 * The archive as Athena sees it: a table over its folders. Athena works out the folders from the query itself (partition projection), so that nothing has to crawl them, and
 * nothing has to be told of a new day. Not in stage `local`: the emulator has no Glue.
 */
const { policy } = require('./from-source.cjs');
const { filled, sub } = require('./iam.cjs');
const { LOCAL } = require('./local.cjs');

/** The fields of a line (shared/activity/archiveFile.ts). `event` is the event as it came. */
const COLUMNS = {
  place: 'string',
  id: 'string',
  time: 'string',
  who: 'string',
  what: 'string',
  resources: 'array<string>',
  ip: 'string',
  error: 'string',
  event: 'string',
  event64: 'string',
};
const columns = (types) => Object.entries(types).map(([Name, Type]) => ({ Name, Type }));

/** Athena's own placeholders: CloudFormation is to leave them. */
const theirs = (name) => ['$', '{!', name, '}'].join('');
const LOCATION = `s3://${filled('ActivityBucket')}/archive/`;

const parameters = ({ keepYears }) => ({
  EXTERNAL: 'TRUE',
  classification: 'json',
  'projection.enabled': 'true',
  // Whichever there are: the query names them.
  'projection.account.type': 'injected',
  'projection.region.type': 'injected',
  'projection.day.type': 'date',
  'projection.day.format': 'yyyy-MM-dd',
  'projection.day.range': `NOW-${keepYears}YEARS,NOW`,
  'storage.location.template': sub(
    `${LOCATION}account=${theirs('account')}/region=${theirs('region')}/day=${theirs('day')}/`,
  ),
});

module.exports = async ({ resolveVariable }) => {
  const stage = await resolveVariable('sls:stage');
  if (stage === LOCAL) return {};
  const CatalogId = { Ref: 'AWS::AccountId' };
  return {
    Resources: {
      ActivityDatabase: {
        Type: 'AWS::Glue::Database',
        Properties: {
          CatalogId,
          // Athena takes no dashes without quotes.
          DatabaseInput: { Name: `steward_${stage.replaceAll('-', '_')}`, Description: 'What Steward has archived' },
        },
      },
      ActivityArchiveTable: {
        Type: 'AWS::Glue::Table',
        Properties: {
          CatalogId,
          DatabaseName: { Ref: 'ActivityDatabase' },
          TableInput: {
            Name: 'activity',
            Description: 'Who did what: the archive of the activity log, two days to some years old',
            TableType: 'EXTERNAL_TABLE',
            PartitionKeys: columns({ account: 'string', region: 'string', day: 'string' }),
            Parameters: parameters(policy().activity),
            StorageDescriptor: {
              Columns: columns(COLUMNS),
              Location: sub(LOCATION),
              InputFormat: 'org.apache.hadoop.mapred.TextInputFormat',
              OutputFormat: 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat',
              SerdeInfo: { SerializationLibrary: 'org.openx.data.jsonserde.JsonSerDe' },
            },
          },
        },
      },
    },
  };
};
