package secrets

import "github.com/freshet/freshet/internal/protocol/aws"

// refused says why operations are not served.
var refused = map[string]string{
	"AssociateCrossAccountReplica": noReplicas, "DisassociateCrossAccountReplica": noReplicas, "RemoveRegionsFromReplication": noReplicas,
	"ReplicateSecretToRegions": noReplicas, "StopReplicationToReplica": noReplicas,
	"RotateSecret": noRotation, "CancelRotateSecret": noRotation,
	"PutResourcePolicy": noPolicies, "DeleteResourcePolicy": noPolicies, "ValidateResourcePolicy": noPolicies, "ListResourcePolicies": noPolicies,
}

const (
	noReplicas   = "there is one region's node"
	noRotation   = "there are no functions that rotate secrets"
	noPolicies   = "who may read secrets is decided by the access keys alone"
	noEncryption = "secrets are not encrypted on the disk"
)

// Ledger says what happens to each member of the requests.
var Ledger = aws.Ledger{
	"CreateSecret.Name": aws.Enforced, "CreateSecret.ClientRequestToken": aws.Enforced, "CreateSecret.Description": aws.Enforced,
	"CreateSecret.KmsKeyId": aws.Stored(noEncryption), "CreateSecret.SecretBinary": aws.Enforced, "CreateSecret.SecretString": aws.Enforced,
	"CreateSecret.Tags": aws.Enforced, "CreateSecret.AddReplicaRegions": aws.Refused(noReplicas), "CreateSecret.ForceOverwriteReplicaSecret": aws.Refused(noReplicas),
	"CreateSecret.Type": aws.Stored("it is for secrets of other companies' services"), "CreateSecret.CrossAccountPrimaryARN": aws.Refused(noReplicas),
	"Tag.Key": aws.Enforced, "Tag.Value": aws.Enforced,
	"DeleteSecret.SecretId": aws.Enforced, "DeleteSecret.RecoveryWindowInDays": aws.Enforced, "DeleteSecret.ForceDeleteWithoutRecovery": aws.Enforced,
	"DescribeSecret.SecretId":    aws.Enforced,
	"GetResourcePolicy.SecretId": aws.Enforced, "GetResourcePolicy.PolicyName": aws.Stored(noPolicies),
	"GetSecretValue.SecretId": aws.Enforced, "GetSecretValue.VersionId": aws.Enforced, "GetSecretValue.VersionStage": aws.Enforced,
	"ListSecretVersionIds.SecretId": aws.Enforced, "ListSecretVersionIds.MaxResults": aws.Enforced, "ListSecretVersionIds.NextToken": aws.Enforced,
	"ListSecretVersionIds.IncludeDeprecated": aws.Enforced,
	"ListSecrets.IncludePlannedDeletion":     aws.Enforced, "ListSecrets.MaxResults": aws.Enforced, "ListSecrets.NextToken": aws.Enforced,
	"ListSecrets.Filters": aws.Enforced, "ListSecrets.SortOrder": aws.Enforced, "ListSecrets.SortBy": aws.Enforced,
	"Filter.Key": aws.Enforced, "Filter.Values": aws.Enforced,
	"PutSecretValue.SecretId": aws.Enforced, "PutSecretValue.ClientRequestToken": aws.Enforced, "PutSecretValue.SecretBinary": aws.Enforced,
	"PutSecretValue.SecretString": aws.Enforced, "PutSecretValue.VersionStages": aws.Enforced, "PutSecretValue.RotationToken": aws.Refused(noRotation),
	"RestoreSecret.SecretId": aws.Enforced,
	"TagResource.SecretId":   aws.Enforced, "TagResource.Tags": aws.Enforced,
	"UntagResource.SecretId": aws.Enforced, "UntagResource.TagKeys": aws.Enforced,
	"UpdateSecret.SecretId": aws.Enforced, "UpdateSecret.ClientRequestToken": aws.Enforced, "UpdateSecret.Description": aws.Enforced,
	"UpdateSecret.KmsKeyId": aws.Stored(noEncryption), "UpdateSecret.SecretBinary": aws.Enforced, "UpdateSecret.SecretString": aws.Enforced,
	"UpdateSecret.Type":                 aws.Stored("it is for secrets of other companies' services"),
	"UpdateSecretVersionStage.SecretId": aws.Enforced, "UpdateSecretVersionStage.VersionStage": aws.Enforced,
	"UpdateSecretVersionStage.RemoveFromVersionId": aws.Enforced, "UpdateSecretVersionStage.MoveToVersionId": aws.Enforced,
}
