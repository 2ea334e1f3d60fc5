/** State of the rule that feeds the activity log. AWS sends calls that only read to rules of the second kind alone. */
const { policy } = require('./from-source.cjs');

module.exports = () => (policy().activity.reads ? 'ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS' : 'ENABLED');
